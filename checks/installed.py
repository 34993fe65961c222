"""Is mlx-vlm there at all?

mlx-vlm is the library that runs vision-language models with MLX. Without it, or in an empty
environment, there is nothing to examine further.

You would see: `ModuleNotFoundError: No module named 'mlx_vlm'`.

The doctor looks for the distribution's metadata and for the module `mlx_vlm` on the interpreter's
search path. `vlm-doctor fix` installs the recipe; by hand, install the recipe's requirements, which
`vlm-doctor recipes` prints.
"""

from __future__ import annotations

from doctor.facts import Facts
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity
from doctor.packages.requirements import installed

CODES = ("not-installed",)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    environment = facts.environment
    distribution = installed(environment).get("mlx-vlm")
    module = environment.modules.get("mlx_vlm")
    if module is not None and module.kind != "namespace":
        return
    if distribution is None:
        cause = f"{len(environment.distributions)} distributions are installed; mlx-vlm is not."
        value, source = "not there", environment.interpreter.site_packages
    else:
        cause = "Its metadata is there, but the module is not: the install is half gone."
        value, source = f"{distribution.version}, without its module", distribution.metadata
    yield Finding(
        code="not-installed",
        severity=Severity.ERROR,
        title="mlx-vlm is not installed here",
        cause=cause,
        evidence=(Evidence(fact="mlx-vlm", value=value, source=source),),
        fix=Fix(id="recipe", summary="install a recipe that is known to work", automatic=True),
    )
