"""Can MLX run on this machine, with this Python, and are the packages made for them?

MLX has wheels for macOS on Apple silicon, and for Linux with glibc 2.35 or newer on x86_64 and
aarch64. A Python that is made for Intel Macs gets none, even on Apple silicon, where it runs under
Rosetta: that is the commonest way to a Mac "without mlx". And a package may be made for another
Python or another machine than this: copied along, or installed with a target that was not this one.

You would see, for example: `Could not find a version that satisfies the requirement mlx (from
versions: none)`, `No module named 'mlx.core'` after an install of mlx 0.0.0, `mach-o file, but is
an incompatible architecture`, `version GLIBC_2.35 not found`, `Failed to load the default
metallib. This library is using language version 4.0 which is not supported on this OS`.

The doctor compares the tags of each installed wheel (its WHEEL file) with the interpreter, its C
library and the version of macOS, asks macOS for the hardware (`hw.optional.arm64`) and whether it
is a guest (`kern.hv_vmm_present`, `hw.model`), and looks for another copy of MLX's library where
the loader would find it first.

- `platform-unsupported`: MLX cannot run here: an error. A warning in a virtual macOS, where Metal
  may be missing or give wrong numbers.
- `wheel-unsuitable`: a package on the way is made for another Python, processor or system. An error
  where a generation loads what cannot be loaded, else a warning.
- `environment-variable`: a variable that makes the loader or the libraries do what they should not.

`vlm-doctor fix` installs what is made for another platform anew. In the place of a Python under
Rosetta, install one for arm64 and make a fresh environment: `vlm-doctor fix --new-venv DIR`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from checks.versions import module_of
from doctor.facts import Distribution, Facts, Interpreter
from doctor.findings import CheckResult, Evidence, Finding, Fix, Severity
from doctor.packages.requirements import installed, on_the_way

CODES = ("platform-unsupported", "wheel-unsuitable", "environment-variable")

# MLX itself: what these need of the system they need exactly, since it is what they compute with.
MLX = frozenset({"mlx", "mlx-metal", "mlx-cpu", "mlx-cuda", "mlx-cuda-12", "mlx-cuda-13"})

# Where MLX has wheels, as the index lists them (0.26 to 0.32).
PLATFORMS = frozenset({("darwin", "arm64"), ("linux", "x86_64"), ("linux", "aarch64")})

# What platform.mac_ver() says where SYSTEM_VERSION_COMPAT is set, whatever macOS it is.
COMPATIBLE_MACOS = "10.16"

# mlx's wheels up to here lack the kernels that MLX_METAL_FAST_SYNCH asks for (mlx issue 1993).
LAST_WITHOUT_FAST_SYNCH = Version("0.24.9")

RECIPE = Fix(id="recipe", summary="install it anew, made for this Python", automatic=True)


def check(facts: Facts) -> CheckResult:
    """Findings, as the page above says."""
    yield from _machine(facts)
    yield from _wheels(facts)
    yield from _variables(facts)


def _machine(facts: Facts) -> CheckResult:
    interpreter, machine = facts.environment.interpreter, facts.machine
    markers = interpreter.markers
    system, processor = markers.get("sys_platform", ""), markers.get("platform_machine", "")
    mlx = installed(facts.environment).get("mlx")
    placeholder = mlx is not None and mlx.version == "0.0.0"
    own_build = (
        mlx is not None and not placeholder and mlx.tags and not unsuitable(mlx, interpreter)
    )
    evidence = [
        Evidence(
            fact="Python is made for", value=f"{system} {processor}", source=interpreter.executable
        )
    ]
    if (system, processor) not in PLATFORMS and not own_build:
        title, cause = f"MLX has no wheels for {system} on {processor}", "None can be installed."
        summary = "use a Mac with Apple silicon, or Linux on x86_64 or aarch64"
        if system == "darwin":
            evidence.append(
                Evidence(
                    fact="Apple silicon",
                    value=str(machine.apple_silicon).lower(),
                    source="sysctl hw.optional.arm64",
                )
            )
            title, cause = "This is an Intel Mac", "MLX computes with Apple silicon only."
            if machine.apple_silicon:
                title = "This Python is made for Intel Macs and runs under Rosetta"
                cause = "The Mac has Apple silicon, but to this Python it looks like an Intel Mac, "
                cause += "for which MLX has no wheels."
                summary = "make an environment with a Python for arm64, for example: "
                summary += "uv python install cpython-3.12-macos-aarch64"
        yield _unsupported(Severity.ERROR, title, cause, evidence, summary)
    elif placeholder and mlx is not None:
        yield Finding(
            code="wheel-unsuitable",
            severity=Severity.ERROR,
            title="mlx 0.0.0 is a placeholder without any code",
            cause="pip takes it where no wheel suits the Python or the system.",
            evidence=(Evidence(fact="mlx", value="0.0.0", source=mlx.metadata),),
            fix=RECIPE,
        )
    if system == "darwin" and machine.virtual:
        evidence.append(Evidence(fact="virtual machine", value="yes", source="sysctl"))
        yield _unsupported(
            Severity.WARNING,
            "This macOS runs in a virtual machine",
            "Metal there is an imitation: it may be missing, or give wrong numbers.",
            evidence,
            "run it on the Mac itself; vlm-doctor smoke tells whether it works here",
        )


def _unsupported(
    severity: Severity, title: str, cause: str, evidence: list[Evidence], summary: str
) -> Finding:
    return Finding(
        code="platform-unsupported",
        severity=severity,
        title=title,
        cause=cause,
        evidence=tuple(evidence),
        fix=Fix(id="another-platform", summary=summary, automatic=False),
    )


def _wheels(facts: Facts) -> CheckResult:
    interpreter = facts.environment.interpreter
    imports = facts.environment.imports
    reached_modules = set(imports.reached) if imports else set()
    # Compiled modules of another Python, which this one does not find.
    foreign = [
        file
        for file in facts.environment.damaged
        if file.kind == "compiled" and file.bytes is not None and file.bytes >= file.recorded_bytes
    ]
    unfound = {file.distribution for file in foreign}
    failing = {file.distribution: file for file in foreign if file.problem}
    reached, _ = on_the_way(facts.environment)
    for name, distribution in reached.items():
        reason = unsuitable(distribution, interpreter)
        broken = failing.get(distribution.name)
        if reason is None and broken is None:
            yield from _python(distribution, interpreter)
            continue
        why = reason or "it is made for another Python"
        loaded = name in MLX or module_of(name) in reached_modules
        # Where compiled modules are not found, the trace tells whether that matters.
        found = loaded and distribution.name not in unfound
        fatal = broken is not None or (found and reason is not None and _cannot_load(name, reason))
        yield Finding(
            code="wheel-unsuitable",
            severity=Severity.ERROR if fatal else Severity.WARNING,
            title=f"{name} {distribution.version} is not made for this: {why}",
            cause="A generation loads it, and it cannot be loaded here."
            if fatal
            else "Its compiled parts do not load here. A generation was not seen to need them.",
            evidence=(
                Evidence(
                    fact=f"tag of {name}",
                    value=", ".join(distribution.tags),
                    source=distribution.metadata,
                ),
                *(
                    (Evidence(fact="is imported", value=broken.problem or "", source=broken.path),)
                    if broken
                    else ()
                ),
            ),
            fix=RECIPE,
        )


def _cannot_load(name: str, reason: str) -> bool:
    """Whether nothing of it can be loaded: another processor or system, or MLX's too old."""
    return not reason.startswith("it needs Python") and (name in MLX or "or newer" not in reason)


def _python(distribution: Distribution, interpreter: Interpreter) -> CheckResult:
    """A package that says that it does not go with this Python."""
    try:
        suits = distribution.requires_python is None or SpecifierSet(
            distribution.requires_python
        ).contains(interpreter.version, prereleases=True)
    except ValueError:
        return
    if not suits:
        yield Finding(
            code="wheel-unsuitable",
            severity=Severity.WARNING,
            title=f"{distribution.name} {distribution.version} requires Python "
            f"{distribution.requires_python}, and this is {interpreter.version}",
            cause="It was installed in spite of that. Its authors do not test it so.",
            evidence=(
                Evidence(
                    fact="Requires-Python",
                    value=distribution.requires_python or "",
                    source=distribution.metadata,
                ),
            ),
            fix=Fix(
                id="another-python",
                summary="make an environment with a Python that it accepts: "
                "vlm-doctor fix --new-venv DIR",
                automatic=False,
            ),
        )


def unsuitable(distribution: Distribution, interpreter: Interpreter) -> str | None:
    """Why none of the tags of a distribution's wheel suits an interpreter, or null."""
    reasons = [_reason(tag, interpreter) for tag in _each(distribution.tags)]
    return None if None in reasons or not reasons else reasons[0]


def _each(tags: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """The single tags of those that name several at once (``cp39.cp310-abi3-…``)."""
    for tag in tags:
        parts = tag.split("-")
        if len(parts) == 3:
            for python in parts[0].split("."):
                for abi in parts[1].split("."):
                    for platform in parts[2].split("."):
                        yield python, abi, platform


def _reason(tag: tuple[str, str, str], interpreter: Interpreter) -> str | None:
    python, abi, platform = tag
    major, minor = map(int, interpreter.version.split(".")[:2])
    made_for = re.fullmatch(r"(?:cp|py)(\d)(\d{0,4})", python)
    if made_for is None:
        return f"it needs Python of another kind ({python})"
    wanted = (int(made_for[1]), int(made_for[2] or 0))
    bound = python.startswith("cp") and abi not in ("abi3", "none")
    if wanted > (major, minor) or wanted[0] != major or (bound and wanted != (major, minor)):
        return f"it needs Python {wanted[0]}.{wanted[1]}"
    return _platform_reason(platform, interpreter)


def _platform_reason(platform: str, interpreter: Interpreter) -> str | None:
    """Why a platform tag (PEP 425, 600, 656) does not suit."""
    system = interpreter.markers.get("sys_platform", "")
    processor = interpreter.markers.get("platform_machine", "")
    if platform == "any":
        return None
    parsed = re.fullmatch(r"(macosx|manylinux|musllinux)_(\d{1,4})_(\d{1,4})_(\w+)", platform)
    if parsed is None:
        old = re.fullmatch(r"(?:manylinux(?:1|2010|2014)|(linux))_(\w+)", platform)
        if old is None:
            return f"it is made for {platform}" if system in ("linux", "darwin") else None
        family, oldest, made_for = "linux", (0, 0), old[2]
    else:
        family, made_for = parsed[1], parsed[4]
        oldest = (int(parsed[2]), int(parsed[3]))
    if (family == "macosx") != (system == "darwin"):
        return f"it is made for {'macOS' if family == 'macosx' else 'Linux'}"
    both = {"universal2": {"arm64", "x86_64"}, "universal": {"x86_64"}, "intel": {"x86_64"}}
    if processor not in both.get(made_for, {made_for}):
        return f"it is made for {made_for}, and this Python for {processor}"
    if family == "macosx":
        here = _numbers(interpreter.macos)
        if here and not (interpreter.macos or "").startswith(COMPATIBLE_MACOS) and here < oldest:
            return (
                f"it needs macOS {oldest[0]}.{oldest[1]} or newer, and this is {interpreter.macos}"
            )
    elif family in ("manylinux", "musllinux"):
        # A Python that tells no glibc on Linux is one of musl.
        if (interpreter.libc is None) != (family == "musllinux"):
            return "it is made for " + ("musl" if family == "musllinux" else "glibc")
        if family == "manylinux" and _numbers(interpreter.libc) < oldest:
            return (
                f"it needs glibc {oldest[0]}.{oldest[1]} or newer, and this is {interpreter.libc}"
            )
    return None


def _numbers(version: str | None) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version or "")[:2])


def _variables(facts: Facts) -> CheckResult:
    variables, environment = facts.variables, facts.environment
    for library in environment.stray_libraries:
        path = library.path
        name = "DYLD_LIBRARY_PATH" if path.endswith(".dylib") else "LD_LIBRARY_PATH"
        yield Finding(
            code="environment-variable",
            severity=Severity.ERROR if library.lacks else Severity.WARNING,
            title=f"{name} puts another copy of MLX's library before the installed one",
            cause="The loader takes the first of the name. "
            + (
                f"It lacks what the installed mlx asks for, such as {library.lacks}."
                if library.lacks
                else "It has all that the installed mlx asks for, so that it may go."
            ),
            evidence=(
                Evidence(fact="found first", value=path.rpartition("/")[2], source=path),
                Evidence(fact=name, value=variables.get(name, "set"), source="environment"),
            ),
            fix=_unset(name),
        )
    mlx = installed(environment).get("mlx")
    synch = variables.get("MLX_METAL_FAST_SYNCH")
    if synch and synch != "0" and mlx is not None and mlx.version and environment.interpreter.macos:
        try:
            old = Version(mlx.version) <= LAST_WITHOUT_FAST_SYNCH
        except ValueError:
            old = False
        if old:
            yield Finding(
                code="environment-variable",
                severity=Severity.WARNING,
                title=f"MLX_METAL_FAST_SYNCH is set, and mlx {mlx.version} has no kernels for it",
                cause="It fails with: Unable to load kernel input_coherent.",
                evidence=(
                    Evidence(fact="MLX_METAL_FAST_SYNCH", value=synch, source="environment"),
                ),
                fix=_unset("MLX_METAL_FAST_SYNCH"),
            )
    if (environment.interpreter.macos or "").startswith(COMPATIBLE_MACOS):
        yield Finding(
            code="environment-variable",
            severity=Severity.WARNING,
            title=f"This Python takes macOS for {COMPATIBLE_MACOS}",
            cause="SYSTEM_VERSION_COMPAT is set, or the Python was built for macOS 10: installers "
            "find no wheels of MLX for such a macOS.",
            evidence=(
                Evidence(
                    fact="SYSTEM_VERSION_COMPAT",
                    value=variables.get("SYSTEM_VERSION_COMPAT", "not set"),
                    source="environment",
                ),
            ),
            fix=_unset("SYSTEM_VERSION_COMPAT"),
        )


def _unset(name: str) -> Fix:
    return Fix(id="unset-variable", summary=f"unset {name}", automatic=False)
