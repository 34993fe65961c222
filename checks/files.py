"""Are the compiled files of the packages that a generation imports whole?

An interrupted download, a full disk or an over-eager cleaner leaves packages whose metadata is
content and whose libraries are gone or cut off. Some of them do not fail with an error: the process
crashes.

You would see, for example: `ImportError: ... file too short`, `cannot import name '_imaging' from
'PIL'`, or no word at all and the exit status of a crash (bus error, segmentation fault).

The doctor compares the size of each compiled file with what the package's own RECORD says. A file
that is gone or shorter is damaged; one that is longer is not called so, since signing a library
again adds to it. Python files that are missing, empty or broken are the trace of imports' to find
(`import-broken`); contents that were changed and kept their size are not seen without hashing.

- `files-damaged`: a compiled file is gone or cut off.

`vlm-doctor fix` installs the package anew. By hand: `pip install --force-reinstall --no-deps` of
the version that is there.
"""

from __future__ import annotations

from doctor.facts import DamagedFile, Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity

CODES = ("files-damaged",)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    by_distribution: dict[str, list[DamagedFile]] = {}
    for file in facts.environment.damaged:
        by_distribution.setdefault(file.distribution, []).append(file)
    for name, files in by_distribution.items():
        yield Finding(
            code="files-damaged",
            severity=Severity.ERROR,
            title=f"{name} is damaged: {len(files)} of its compiled files "
            f"{'is' if len(files) == 1 else 'are'} gone or cut off",
            cause="A generation imports it, and fails or crashes there.",
            evidence=tuple(
                Evidence(
                    fact=f"recorded with {file.recorded_bytes} bytes",
                    value="gone" if file.bytes is None else f"{file.bytes} bytes",
                    source=file.path,
                )
                for file in files
            ),
            fix=Fix(id="recipe", summary=f"install {name} anew", automatic=True),
        )
