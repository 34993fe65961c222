"""What does Python run by itself when it starts, and does it change what is imported?

Python runs `sitecustomize`, `usercustomize` and lines of `.pth` files before anything else. Tools
use them for coverage and proxies, and people for patches that then work in one place only.

You would see: a Python that ends without a word, `ModuleNotFoundError: import of transformers
halted; None in sys.modules`, or behaviour that no installed file explains.

The doctor reads this code and never runs it. What belongs to an installed distribution is taken for
granted, and so is what makes virtual environments work, and what lies beside Python's own library,
as Homebrew's does, unless it surely does harm; an error in such code Python prints and passes over.

- `startup-code`: an error where it ends Python or takes away what a generation imports, or the
  folder that it lies in. A warning where it patches such a module or puts another in its place,
  changes how modules are found, or adds folders that the doctor cannot tell. A note where it adds
  folders, which the doctor then looks into too, does harm under a condition only, or sets variables
  that the libraries listen to.

Nothing is removed: look at the file named in the finding.
"""

from __future__ import annotations

from doctor.facts import Facts, StartupEffect
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity

CODES = ("startup-code",)

# The beginnings of the variables that Python and the libraries on the way listen to.
VARIABLES = (
    "PYTHON",
    "HF_",
    "HUGGINGFACE_",
    "TRANSFORMERS_",
    "TOKENIZERS_",
    "MLX_",
    "DYLD_",
    "LD_",
)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    for file in facts.environment.startup:
        judged = [(_severity(effect), effect) for effect in file.effects]
        matter = [(severity, effect) for severity, effect in judged if severity is not None]
        if not matter:
            continue
        order = list(Severity)
        matter.sort(key=lambda pair: order.index(pair[0]))
        worst, first = matter[0]
        yield Finding(
            code="startup-code",
            severity=worst,
            title=f"Code that runs when Python starts {_does(first)}",
            cause=f"{file.path} is no part of an installed package, and Python runs it each time.",
            evidence=tuple(
                Evidence(
                    fact="start-up code", value=_does(effect), source=f"{file.path}:{effect.line}"
                )
                for _, effect in matter
            ),
            fix=Fix(
                id="startup-by-hand",
                summary=f"look at {file.path}, and move it away if nothing else needs it",
                automatic=False,
            ),
        )


def _severity(effect: StartupEffect) -> Severity | None:
    """How bad an effect is; null where it does not matter here."""
    if effect.kind == "ends":
        return Severity.ERROR
    if effect.kind in ("absent", "path-without"):
        return Severity.ERROR if effect.on_the_way else None
    if effect.kind in ("path-first", "path-last"):
        return Severity.WARNING if effect.detail is None else Severity.NOTE
    if effect.kind == "environment":
        return Severity.NOTE if (effect.detail or "").startswith(VARIABLES) else None
    if effect.kind in ("may-end", "may-take"):
        return Severity.NOTE
    if effect.kind == "hook" or effect.on_the_way:
        return Severity.WARNING
    return None


def _does(effect: StartupEffect) -> str:
    return {
        "ends": "ends Python at once",
        "may-end": "may end Python",
        "may-take": f"may take {effect.detail} away",
        "path-first": f"puts {effect.detail or 'a folder'} first on the search path",
        "path-last": f"puts {effect.detail or 'a folder'} on the search path",
        "path-without": "takes the folders of the packages off the search path",
        "absent": f"takes {effect.detail} away",
        "replaced": f"puts another module in the place of {effect.detail}",
        "hook": f"changes how modules are found ({effect.detail})",
        "patch": f"patches {effect.detail}",
        "environment": f"sets {effect.detail}",
    }.get(effect.kind, effect.kind)
