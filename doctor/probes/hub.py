"""The Hub: what it says of a model, if it may be asked.

Nothing else uses the network. The client is huggingface-hub's own, with the user's settings for it:
address, token, proxies, certificates.
"""

from __future__ import annotations

import fnmatch
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from doctor import __version__
from doctor.errors import CouldNot
from doctor.facts import HubTrouble, Model, Remote, RemoteFile, StoredFile, Trouble
from doctor.hub import fetch, origin
from doctor.probes import hashing
from doctor.probes import model as model_probe
from doctor.probes import storage as storage_probe
from doctor.probes.reach import home_of

# What mlx-vlm fetches of a repository (``get_model_path`` in its ``utils.py``, 0.3.9 to 0.7.10).
PATTERNS = (
    "*.json",
    "*.jsonl",
    "*.safetensors",
    "*.py",
    "*.model",
    "*.tiktoken",
    "*.txt",
    "*.jinja",
)
# Seconds for the Hub's answer to a question; a fetch has the client's own limits.
ASK_SECONDS = 15.0
# The files of a model that checks look into are small; a larger one is none.
MOST_HEAD_BYTES = 5_000_000
HEADS = (*model_probe.READ, "tokenizer_config.json")


class Client:
    """huggingface-hub's client, for the time of a fetch."""

    def __init__(
        self, http_get: Callable[..., None], headers: Callable[..., dict[str, str]]
    ) -> None:
        self.http_get = http_get
        self._headers = headers

    def headers(self) -> dict[str, str]:
        """The headers of a request: the user's token, and no compression, which cannot resume."""
        made = self._headers(library_name="vlm-doctor", library_version=__version__)
        return {**made, "Accept-Encoding": "identity"}


@contextmanager
def client() -> Iterator[Client]:
    """The client, quiet, in pieces of our size, and without the helper that knows no resuming."""
    import huggingface_hub.utils
    from huggingface_hub import file_download

    constants: Any = model_probe.constants()
    tools: Any = huggingface_hub.utils
    kept = {
        name: getattr(constants, name)
        for name in ("DOWNLOAD_CHUNK_SIZE", "HF_HUB_ENABLE_HF_TRANSFER")
        if hasattr(constants, name)
    }
    constants.DOWNLOAD_CHUNK_SIZE = fetch.PIECE
    if "HF_HUB_ENABLE_HF_TRANSFER" in kept:
        constants.HF_HUB_ENABLE_HF_TRANSFER = False
    tools.disable_progress_bars()
    tools.logging.set_verbosity(logging.CRITICAL)
    try:
        yield Client(file_download.http_get, tools.build_hf_headers)
    finally:
        for name, value in kept.items():
            setattr(constants, name, value)


def trouble_of(error: BaseException, model: str) -> HubTrouble | None:
    """What the client's error means, in one line without addresses and tokens.

    Null for what is this machine's own (no space, no permission). The client has used three HTTP
    libraries in the releases that the doctor takes; their errors are told by their names.
    """
    import ssl

    from huggingface_hub import errors

    def trouble(kind: Trouble, message: str) -> HubTrouble:
        return HubTrouble(kind=kind, message=message)

    if isinstance(error, errors.OfflineModeIsEnabled):
        return trouble("offline", "HF_HUB_OFFLINE is set: nothing may be asked of the Hub.")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return trouble("gated", f"{model} is gated: its owner lets in who has asked, by token.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return trouble(
            "missing", f"The Hub has no model {model}, or it is private and not open to your token."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return trouble("missing", f"The Hub has {model}, and not (or no longer) this revision.")
    if isinstance(error, errors.EntryNotFoundError):
        return trouble("missing", f"The Hub has {model}, and not (or no longer) this file.")
    if status == 401:
        return trouble("token", "The Hub does not take your token (401).")
    if status == 403:
        return trouble("refused", f"Your token does not open {model} (403).")
    if status == 429:
        return trouble(
            "unreachable", "The Hub wants fewer requests for now (429); try again later."
        )
    if status is not None:
        return trouble("unreachable", f"The Hub is out of order at the moment ({status}).")
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    names = [kind.__name__ for item in chain for kind in type(item).__mro__]
    words = " ".join(str(item) for item in chain)
    if any(isinstance(item, ssl.SSLCertVerificationError) for item in chain) or (
        "CERTIFICATE_VERIFY_FAILED" in words
    ):
        return trouble("certificate", "The Hub's certificate is not one that this machine trusts.")
    if "TLS CA certificate bundle" in words or (
        isinstance(error, FileNotFoundError) and error.filename is None
    ):
        return trouble("certificate", "A variable names a file of certificates that is not there.")
    if "ProxyError" in names or "SOCKS" in words or "proxy" in words.lower():
        return trouble("proxy", "The proxy that your variables name does not let this through.")
    own = isinstance(error, OSError) and error.errno is not None
    if own and not isinstance(error, (ConnectionError, TimeoutError)):
        return None
    if {"UnsupportedProtocol", "InvalidSchema", "MissingSchema", "InvalidURL"} & {*names}:
        return trouble("unreachable", "HF_ENDPOINT is no address (https://…).")
    if {"TransportError", "RequestException", "ConnectionError", "TimeoutError"} & {*names}:
        return trouble("unreachable", "The Hub could not be reached, or the line was cut.")
    return None


def ask(
    model: Model,
    verify: bool = False,
    advance: Callable[[int, int], object] | None = None,
    name: str | None = None,
) -> tuple[Remote | None, HubTrouble | None, Model]:
    """What the Hub says of a model: its listing, or why there is none; and the model as then known.

    ``verify`` takes the hash of every file that is here (``advance`` as for ``hashing.hashed``);
    else only sizes count, and small files' hashes. A model that is not here is judged by its
    configuration on the Hub. ``name`` is what the Hub calls a folder; where it is null, likely
    names are tried. Both are null for a folder of which nothing is known.
    """
    if model.found != "folder":
        return _ask(model, model.id, verify, advance)
    assert model.path is not None
    folder = Path(os.path.expanduser(model.path))
    for candidate in [name] if name else origin.candidates(folder):
        remote, trouble, seen = _ask(model, candidate, verify, advance)
        if remote is not None and origin.is_of(model, seen, remote, said=bool(name)):
            return remote, None, seen
        if trouble is not None and (name or trouble.kind != "missing"):
            return None, trouble, model
    if name is None:
        return None, None, model
    message = f"No file of {model.id} is one of {name} on the Hub: it is another model."
    return None, HubTrouble(kind="missing", message=message), model


def _ask(
    model: Model, name: str, verify: bool, advance: Callable[[int, int], object] | None
) -> tuple[Remote | None, HubTrouble | None, Model]:
    from huggingface_hub import HfApi, hf_hub_url

    if model_probe.constants().HF_HUB_OFFLINE:
        offline = "HF_HUB_OFFLINE is set: nothing may be asked of the Hub."
        return None, HubTrouble(kind="offline", message=offline), model
    try:
        with client() as http:
            api = HfApi(library_name="vlm-doctor", library_version=__version__)
            noted = model.storage.commit if model.storage else None
            info = _information(api, name, model.revision or noted)
            remote = _remote(info)
            model = _with_list(model, remote)
            if verify:
                model = hashing.hashed(model, advance)
            remote = _with_here(remote, model, verify)
            heads = [file for file in remote.files if file.path in HEADS]
            if model.path is None:
                model = _read_heads(http, name, model, remote, heads)
            elif info.gated and heads:
                # The listing of a gated model is everybody's, its files are not.
                from huggingface_hub import get_hf_file_metadata

                get_hf_file_metadata(hf_hub_url(name, heads[0].path, revision=remote.commit))
    except (fetch.FetchFailed, Exception) as error:
        if isinstance(error, fetch.FetchFailed):
            return None, error.trouble, model
        trouble = trouble_of(error, name)
        if trouble is None:
            raise CouldNot(
                f"The Hub could not be asked: {type(error).__name__}: {error}"
            ) from error
        return None, trouble, model
    return remote, None, model


def _information(api: Any, name: str, revision: str | None) -> Any:
    """The listing of the revision that is here; of today's, where the Hub has dropped that one."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return api.model_info(name, revision=revision, files_metadata=True, timeout=ASK_SECONDS)
    except RevisionNotFoundError:
        if revision is None:
            raise
        return api.model_info(name, files_metadata=True, timeout=ASK_SECONDS)


def _remote(info: Any) -> Remote:
    files = []
    for sibling in info.siblings or ():
        path = str(sibling.rfilename)
        if not is_fetched(path) or not _inside(path):
            continue
        blob = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
        size = sibling.lfs.size if sibling.lfs else sibling.size
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", str(blob)) or size is None:
            continue
        files.append(RemoteFile(path=path, bytes=int(size), blob=str(blob)))
    return Remote(id=str(info.id), commit=str(info.sha), gated=bool(info.gated), files=tuple(files))


def is_fetched(path: str) -> bool:
    """Whether mlx-vlm would fetch a file of this name."""
    return any(fnmatch.fnmatch(path, pattern) for pattern in PATTERNS)


def _inside(path: str) -> bool:
    """Whether a name from the Hub stays inside the snapshot."""
    return not path.startswith("/") and ".." not in path.split("/") and "\\" not in path


def _with_list(model: Model, remote: Remote) -> Model:
    """The model with what the Hub says of each file, in the place of what the cache noted."""
    storage = model.storage
    if storage is None or model.path is None:
        return model
    if model.found == "cache" and model.revision != remote.commit:
        return model
    folder = Path(os.path.expanduser(model.path))
    files = {file.name: file for file in storage.files}
    for said in remote.files:
        file = files.get(said.path) or storage_probe.found(folder, said.path)
        if file.expected_hash != said.blob:
            file = msgspec.structs.replace(file, hash_is_right=None, laid_out_anew=False)
        files[said.path] = msgspec.structs.replace(
            file, expected_bytes=said.bytes, expected_hash=said.blob
        )
    return msgspec.structs.replace(
        model, storage=msgspec.structs.replace(storage, files=tuple(files.values()))
    )


def _with_here(remote: Remote, model: Model, verify: bool) -> Remote:
    """The listing with what is here of each file."""
    home = home_of(model) or origin.staging(model)
    here = {file.name: file for file in model.storage.files} if model.storage else {}
    if model.found != "folder" and model.revision != remote.commit:
        here = {}
    folder = Path(os.path.expanduser(model.path or ""))
    if model.found == "folder":
        # Whatever a link leads to: it is what the folder has under this name.
        here = {
            name: msgspec.structs.replace(file, kind="file") if file.kind == "link" else file
            for name, file in here.items()
        }
    files = tuple(_seen(file, here.get(file.path), folder, home, verify) for file in remote.files)
    return msgspec.structs.replace(remote, files=files)


# What git leaves of a link on a system without links: where it led.
_LINK_AS_TEXT = re.compile(rb"(\.\./)+blobs/[0-9a-f]{40,64}\s*")


def _is_nobodys(path: Path) -> bool:
    """Whether a small file is what nobody writes: JSON that is none, or the text of a link."""
    try:
        if path.stat().st_size > storage_probe.SMALL_BYTES:
            return False
        content = path.read_bytes()
        if path.suffix == ".json":
            json.loads(content)
    except OSError:
        return False
    except (ValueError, RecursionError):
        return True
    return _LINK_AS_TEXT.fullmatch(content) is not None


def _seen(
    file: RemoteFile, stored: StoredFile | None, folder: Path, home: Path, verify: bool
) -> RemoteFile:
    replace = msgspec.structs.replace
    leads = stored is not None and (stored.kind == "file" or stored.blob == file.blob)
    if stored is not None and leads and stored.kind in ("link", "file"):
        if stored.laid_out_anew or (
            stored.hash_is_right is not False and stored.bytes == file.bytes
        ):
            return replace(file, here="whole" if stored.hash_is_right else None)
        # Without links every file lies in the snapshot itself; weights are nobody's own text.
        own = (home / "blobs" / file.blob).exists() or not file.path.endswith(".safetensors")
        if stored.kind == "file" and own and not _is_nobodys(folder / file.path):
            return replace(file, here="edited")
        here: Literal["damaged", "missing"] = "damaged"
    elif stored is not None and stored.kind == "unreadable":
        return file
    elif stored is not None and stored.kind == "folder":
        here = "damaged"
    else:
        here = "missing"
    blob = home / "blobs" / file.blob
    if here == "missing" and _is_whole(blob, file, verify):
        return replace(file, here=here, fetched_bytes=file.bytes)  # it only wants its link
    began = fetch.begun(home, file.blob)
    there = min(began.stat().st_size, file.bytes) if began else 0
    return replace(file, here=here, fetched_bytes=there)


def _is_whole(path: Path, file: RemoteFile, verify: bool) -> bool:
    try:
        return path.stat().st_size == file.bytes and not (
            verify and storage_probe.digest(path, file.blob) != file.blob
        )
    except OSError:
        return False


def _fetched(file: RemoteFile, model: Model) -> Path | None:
    """Where a file of a fetch that did not end lies whole, if it does."""
    home = home_of(model)
    if home is not None:
        for path in (home / "blobs" / file.blob, fetch.staged(home, file.blob)):
            if path.is_file() and storage_probe.digest(path, file.blob) == file.blob:
                return path
    return None


def _read_heads(
    http: Client, name: str, model: Model, remote: Remote, heads: list[RemoteFile]
) -> Model:
    """The model that is not here, as its configuration on the Hub describes it."""
    import tempfile

    from huggingface_hub import hf_hub_url

    with tempfile.TemporaryDirectory(prefix="vlm-doctor-") as folder:
        for file in heads:
            if file.bytes > MOST_HEAD_BYTES:
                continue
            fetched = _fetched(file, model)
            if fetched is not None:
                shutil.copyfile(fetched, Path(folder) / file.path)
                continue
            with (Path(folder) / file.path).open("wb") as stream:
                http.http_get(
                    hf_hub_url(name, file.path, revision=remote.commit),
                    stream,
                    headers=http.headers(),
                    expected_size=file.bytes,
                )
        seen = model_probe.read(name, Path(folder), "card", None, Path(model.cache))
    weights = [file.bytes for file in remote.files if file.path.endswith(".safetensors")]
    return msgspec.structs.replace(
        seen,
        path=None,
        files={},
        weights_bytes=sum(weights) or None,
        tokenizer=None,
        storage=None,
        weights=None,
        weight_sizes=None,
        cache=model.cache,
    )
