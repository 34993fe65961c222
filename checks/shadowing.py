"""Is every module that a generation imports the one that was installed?

Python takes the first module of a name that it finds. A `random.py`, a `tokenizers.py` or a whole
other `transformers` may come before what is meant: in a folder of `PYTHONPATH`, in the user's own
site folder, in a folder that a `.pth` file adds, or beside the installed one.

You would see, for example: `No module named 'mlx.core'; 'mlx' is not a package`, `cannot import
name 'Tokenizer' from 'tokenizers' (/home/you/work/tokenizers.py)`, or `partially initialized
module`.

The doctor compares where each module is found with where the RECORD of its distribution says that
it was installed, and looks for names of Python's own modules before Python's own library. Then it
follows the imports into what it found in their place.

- `module-shadowed`: another module is found in the place of the one that is meant. An error where a
  generation asks of it what it has not; a warning where it loads it and lacks nothing. A note where
  it was not seen to load it, or where it lies in the current folder: Python looks there only for
  `python -m`, `python -c`, and scripts that lie there.

Nothing is removed: it is somebody's file. Rename it, take its folder off `PYTHONPATH`, or, for the
user's site folder, set `PYTHONNOUSERSITE=1`.
"""

from __future__ import annotations

from packaging.utils import canonicalize_name

from checks import versions
from doctor.facts import Facts, Shadow
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity

CODES = ("module-shadowed",)

REMEDIES = {
    "pythonpath": "take its folder off PYTHONPATH, or rename it",
    "user-site": "set PYTHONNOUSERSITE=1, or remove it from your own site folder",
    "current-folder": "rename it, or start Python elsewhere",
    "pth": "remove the .pth file that adds its folder, or rename it",
    "startup": "take its folder out of the start-up code that adds it, or rename it",
    "site-packages": "rename it, or move it away",
}


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    refused = _refused(facts)
    for shadow in facts.environment.shadows:
        name, where = shadow.module, _where(shadow)
        if shadow.standard:
            title = f"A module {name} {where} hides Python's own {name}"
        else:
            title = f"A module {name} {where} hides the installed {name}"
        here = shadow.place == "current-folder"
        if here:
            cause = (
                "Python looks into the current folder first for python -m, python -c and scripts "
                "that lie there, and only then."
            )
        elif not shadow.used:
            cause = "A generation was not seen to import it."
        elif shadow.module in refused:
            cause = (
                "It brings metadata of its own, and transformers refuses the versions that go "
                "with it."
            )
        elif shadow.problem:
            cause = f"A generation needs {shadow.problem}, and this one has no such thing."
        else:
            cause = "All that a generation was seen to import is in this one too."
        yield Finding(
            code="module-shadowed",
            severity=Severity.ERROR if shadow.module in refused else _severity(shadow),
            title=title,
            cause=cause,
            evidence=(
                Evidence(fact=f"{shadow.module} is found", value="first", source=shadow.origin),
                Evidence(fact=f"{shadow.module} is meant", value="hidden", source=shadow.hides),
            ),
            fix=Fix(
                id="unshadow",
                summary=f"{shadow.origin}: "
                + REMEDIES.get(shadow.place, REMEDIES["site-packages"]),
                automatic=False,
            ),
        )


def _refused(facts: Facts) -> set[str]:
    """The modules that hide an installed one, and by whose metadata transformers does not start.

    Metadata lie beside a module, and are found by the same path: they hide the installed ones too.
    """
    hiding = {}
    names = [str(canonicalize_name(item.name)) for item in facts.environment.distributions]
    for shadow in facts.environment.shadows:
        name = str(canonicalize_name(shadow.module))
        if not shadow.standard and shadow.used and names.count(name) > 1:
            hiding[name] = shadow.module
    if not hiding:
        return set()
    refused = versions.refused(facts)
    if refused and "transformers" in hiding:
        refused.add("transformers")
    return {module for name, module in hiding.items() if name in refused}


def _severity(shadow: Shadow) -> Severity:
    if shadow.problem:
        return Severity.ERROR
    return Severity.WARNING if shadow.used else Severity.NOTE


def _where(shadow: Shadow) -> str:
    return {
        "pythonpath": "on PYTHONPATH",
        "user-site": "in your own site folder",
        "current-folder": "in the current folder",
        "pth": "in a folder that a .pth file adds",
        "startup": "in a folder that start-up code adds",
    }.get(shadow.place, "beside it")
