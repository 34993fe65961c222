"""What a fix may do: actions that can be shown, counted and undone, and do nothing themselves."""

from __future__ import annotations

from typing import Literal

from doctor.facts import Struct
from doctor.memory.run_profile import Profile


class Change(Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """One distribution that changes: its version before and after, null where it is not there."""

    name: str
    before: str | None
    after: str | None


class Action(Struct, frozen=True, tag_field="kind"):
    """One step of a plan. ``summary`` is one line for people.

    An action on files, such as a model's, joins the transaction by two things:

    - ``files()`` names every path that it will make, replace or remove. Before anything changes,
      what is there (file, link or folder with all that is in it, or nothing) is written down and
      kept, and comes back byte for byte if the fix fails, is killed, or is taken back later. A file
      of any size is kept by a hard link, which costs nothing.
    - ``Repair._apply`` calls the function that does it. That function never writes into a file that
      is there: it puts a new one in its place (``model_files.replace`` for content,
      ``model_files.move`` for a finished download) or takes the name away, since the kept copy may
      be the same file. It raises ``errors.Failed`` with one line where it does not work out, and
      may be killed at any instant: what ``files()`` names goes back.

    A file below a folder that may not be written to is repaired in an overlay
    (``model_files.overlay``): name the overlay in ``files()`` then, not the file.
    """

    summary: str

    def files(self) -> tuple[str, ...]:
        """The paths that it will make, replace or remove, absolute or from ``~``."""
        return ()


class Install(Action, frozen=True, tag="install"):
    """Install the named distributions of a recipe's lock, by hash, and nothing else.

    ``lock`` is the name of the lock; the sizes are in bytes, null where they are not known.
    ``left`` is what differs from the lock and belongs to conda, which would have to change it.
    """

    recipe: str
    lock: str
    changes: tuple[Change, ...]
    download_bytes: int | None
    installed_bytes: int | None
    left: tuple[Change, ...] = ()


class Remove(Action, frozen=True, tag="remove"):
    """Remove a distribution that cannot work as it is and that nothing else requires."""

    changes: tuple[Change, ...]


class EditJson(Action, frozen=True, tag="edit-json"):
    """Set one field of a JSON file, in place of the link or file that is there.

    ``field`` is the way to it through nested objects. What a link led to stays as it is.
    """

    path: str
    field: tuple[str, ...]
    value: str

    def files(self) -> tuple[str, ...]:
        """The file itself."""
        return (self.path,)


class NewEnvironment(Action, frozen=True, tag="new-environment"):
    """Make a virtual environment at ``path`` with the Python at ``python``."""

    path: str
    python: str


class WriteProfile(Action, frozen=True, tag="write-profile"):
    """Write a run profile, once a generation has run as it says."""

    path: str
    profile: Profile

    def files(self) -> tuple[str, ...]:
        """The file itself."""
        return (self.path,)


class Fetched(Struct, frozen=True):
    """One file of a ``Download``: its path in the repository, size in bytes, and name in the cache.

    ``why`` is ``missing`` or ``damaged``.
    """

    path: str
    bytes: int
    blob: str
    why: str


class Download(Action, frozen=True, tag="download"):
    """Fetch these files of a model from the Hub, and put them where the cache at ``home`` has them.

    They are verified before anything changes. What is there under their names is moved aside. With
    ``folder`` they go there, by their own names, and ``home`` is where they are kept before.
    ``download_bytes`` leaves out what an earlier fetch has left there. ``seconds`` is how long that
    takes at the measured rate, null where the line was not measured.
    """

    model: str
    commit: str
    home: str
    fetched: tuple[Fetched, ...]
    download_bytes: int
    seconds: float | None = None
    folder: str | None = None

    def files(self) -> tuple[str, ...]:
        """The blobs, the snapshot's links to them, and the name of the revision."""
        if self.folder is not None:
            return tuple(f"{self.folder}/{file.path}" for file in self.fetched)
        home = self.home
        paths = [f"{home}/blobs/{file.blob}" for file in self.fetched]
        paths += [f"{home}/snapshots/{self.commit}/{file.path}" for file in self.fetched]
        return (*paths, f"{home}/refs/main")


class PutFile(Action, frozen=True, tag="put-file"):
    """Put a small file in place of what is at ``path``: a copy of ``source``, or else ``text``.

    A copy has to have the hash ``hash`` (SHA-256, or git's SHA-1) when it is read.
    """

    path: str
    source: str | None = None
    hash: str | None = None
    text: str | None = None

    def files(self) -> tuple[str, ...]:
        """The file itself."""
        return (self.path,)


class RemoveFiles(Action, frozen=True, tag="remove-files"):
    """Take away files that nothing reads: what interrupted fetches left."""

    paths: tuple[str, ...]
    freed_bytes: int

    def files(self) -> tuple[str, ...]:
        """The files themselves."""
        return self.paths


class Advice(Action, frozen=True, tag="advice"):
    """Something that only the user can do; ``commands`` are those that do it, for a shell."""

    code: str
    commands: tuple[str, ...] = ()


AnyAction = (
    Install
    | Remove
    | EditJson
    | NewEnvironment
    | WriteProfile
    | Download
    | PutFile
    | RemoveFiles
    | Advice
)


class Build(Struct, frozen=True):
    """A package that is built from its source, which runs programs of whoever wrote it.

    ``address`` is where the source comes from, without credentials; ``hash`` is what the index says
    that it is.
    """

    name: str
    version: str
    address: str
    hash: str

    def line(self) -> str:
        """One line for people."""
        return f"{self.name} {self.version} from {self.address}"


class Source(Struct, frozen=True):
    """One place that packages come from, in the order in which it is asked.

    ``location`` is an address without credentials or a path, null for uv's own default index and
    for its cache; ``setting`` is the variable, file or option that names it.
    """

    kind: Literal["index", "folder", "cache"]
    location: str | None
    setting: str

    def line(self) -> str:
        """One line for people."""
        if self.kind == "cache":
            return f"what uv has kept of earlier installs ({self.setting})"
        if self.location is None:
            return f"the package index that is {self.setting}"
        if self.kind == "folder":
            return f"the folder {self.location} ({self.setting})"
        return f"the index {self.location} ({self.setting})"
