"""Are the files of the packages that a generation imports as they were installed?

An interrupted download, a full disk or an over-eager cleaner leaves packages whose metadata is
content and whose files are gone or cut off. Some of them do not fail with an error: the process
crashes. Removing a package can take files of another with it: mlx's backends up to 0.31.2 carry
files that mlx has too. And people patch what is installed, by hand or by a program.

You would see, for example: `ImportError: ... file too short`, `cannot import name '_imaging' from
'PIL'`, `SyntaxError`, `ImportError: Encountered an error while initializing the extension.`, or no
word at all and the exit status of a crash (bus error, segmentation fault).

The doctor compares the sizes of files with what each package's own RECORD says: of all compiled
files, and of the Python and data files that a generation comes by. Then it follows the imports into
the packages that differ, and asks what is lost. Contents that were changed and kept their size are
seen by `vlm-doctor check --deep`, which hashes all files. Signing a library again makes it longer,
stripping it of what is for debuggers makes it shorter: neither does harm, and neither is called
damage.

- `files-damaged`: files are gone or cut off. An error where a generation needs what is lost: it
  imports it, loads it, or calls it in a file that goes on without it. A warning where no need was
  seen.
- `files-edited`: files were changed after they were installed, and all that a generation imports is
  still there. A warning where it loads them: what they do now, their authors never tested, and an
  update takes the change away. A note where it does not.

`vlm-doctor fix` installs a damaged package anew. It leaves edited ones alone: somebody wanted that.
By hand: `pip install --force-reinstall --no-deps` of the version that is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from doctor.facts import AlteredFile, DamagedFile, Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity

CODES = ("files-damaged", "files-edited")

# Files that are named in one finding; a package that is gone has hundreds.
MOST_NAMED = 5


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    harmful: dict[str, list[DamagedFile]] = {}
    lost: dict[str, list[DamagedFile]] = {}
    edited: dict[str, list[DamagedFile]] = {}
    for file in facts.environment.damaged:
        if file.bytes is not None and file.kind == "compiled" and file.bytes >= file.recorded_bytes:
            continue  # whole, but compiled for another Python: the check of the platform says so
        if file.problem:
            group = harmful
        elif file.bytes is None or (file.kind == "data" and file.bytes < file.recorded_bytes):
            group = lost
        else:
            group = edited
        group.setdefault(file.distribution, []).append(file)
    for name, files in harmful.items():
        yield Finding(
            code="files-damaged",
            severity=Severity.ERROR,
            title=f"{name} is damaged: {_count(files)} gone, cut off or broken",
            cause="; ".join(dict.fromkeys(_because(file) for file in files[:MOST_NAMED])) + ".",
            evidence=_evidence(files),
            fix=Fix(id="recipe", summary=f"install {name} anew", automatic=True),
        )
    for name, files in lost.items():
        if name not in harmful:
            yield Finding(
                code="files-damaged",
                severity=Severity.WARNING,
                title=f"{name} is not whole: {_count(files)} gone or cut off",
                cause="A generation was not seen to need what is lost. Other uses may.",
                evidence=_evidence(files),
                fix=_by_hand(name),
            )
    yield from _altered(facts, harmful)
    for name, files in edited.items():
        used = [file for file in files if file.used and file.kind == "source"]
        if name not in harmful:
            yield Finding(
                code="files-edited",
                severity=Severity.WARNING if used else Severity.NOTE,
                title=f"{name} was changed after it was installed: {_count(used or files)} not of "
                "the recorded size",
                cause="All that a generation imports from them is still there. Its authors never "
                "tested this, and an update takes the change away."
                if used
                else "A generation was not seen to depend on them.",
                evidence=_evidence(used or files),
                fix=_by_hand(name),
            )


def _altered(facts: Facts, harmful: Collection[str]) -> CheckResult:
    """Contents that differ in files of the right size; a generation has told what that does."""
    failed = facts.generation is not None and not facts.generation.passed
    groups: dict[str, list[AlteredFile]] = {}
    for file in facts.environment.altered or ():
        groups.setdefault(file.distribution, []).append(file)
    for name, files in groups.items():
        # Nobody patches a compiled file and keeps its size.
        compiled = [file for file in files if file.kind == "compiled"]
        if name in harmful:
            continue
        count = "1 file is" if len(files) == 1 else f"{len(files)} files are"
        damaged = failed and bool(compiled)
        yield Finding(
            code="files-damaged" if damaged else "files-edited",
            severity=Severity.ERROR
            if damaged
            else Severity.WARNING
            if failed or compiled
            else Severity.NOTE,
            title=f"{name} was changed after it was installed: {count} not of the recorded content",
            cause="A generation fails, and compiled code is not what was installed."
            if damaged
            else "The size is as recorded, and the content is not.",
            evidence=tuple(
                Evidence(fact="recorded", value="another content", source=file.path)
                for file in (compiled or files)[:MOST_NAMED]
            ),
            fix=Fix(id="recipe", summary=f"install {name} anew", automatic=True)
            if damaged
            else _by_hand(name),
        )


def _count(files: list[DamagedFile]) -> str:
    return "1 file is" if len(files) == 1 else f"{len(files)} files are"


def _because(file: DamagedFile) -> str:
    name = file.path.rpartition("/")[2]
    if file.bytes is None:
        return f"{name} is gone: {file.problem}"
    return f"{name} is not what was installed: {file.problem}"


def _evidence(files: Iterable[DamagedFile]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            fact=f"recorded with {file.recorded_bytes} bytes",
            value="gone" if file.bytes is None else f"{file.bytes} bytes",
            source=file.path,
        )
        for file in list(files)[:MOST_NAMED]
    )


def _by_hand(name: str) -> Fix:
    return Fix(
        id="reinstall-by-hand",
        summary=f"install {name} anew in the version that is there (pip install --force-reinstall "
        "--no-deps), if nobody wanted the change",
        automatic=False,
    )
