"""The proof of a lock: installed by hash in a fresh environment, it answers about pictures."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from doctor.packages import uv
from doctor.proving import smoke, stand_in
from tools.recipes.progress import say
from tools.recipes.targets import RecipeError, Target
from tools.recipes.writing import Proof, digest


def can_run_here(target: Target) -> bool:
    """Whether a lock is for this kind of machine. CUDA is not tried: who has it says so by hand."""
    system, machine = sys.platform, platform.machine()
    here = {("darwin", "arm64"): "macos-arm64"}.get((system, machine), f"{system}-{machine}")
    return (target.platform.name, target.backend) in ((here, "metal"), (here, "cpu"))


def prove(target: Target, lock: str) -> Proof | None:
    """Install and run a lock; null where its Python is not here.

    Raises ``RecipeError`` where it does not install or does not see.
    """
    title = f"{target.recipe.name} {target.name}"
    version = f"{target.python[0]}.{target.python[1]}"
    base = uv.find_python(version)
    if base is None:
        say(f"{title}: not run, there is no Python {version} here")
        return None
    with tempfile.TemporaryDirectory(prefix="vlm-recipe-") as folder:
        environment = Path(folder, "environment")
        python = str(environment / "bin" / "python")
        try:
            uv.make_environment(base, str(environment), _quiet)
            uv.install(python, lock, reinstall=(), offline=False, wheels=None, progress=_quiet)
        except uv.InstallFailed as error:
            raise RecipeError(f"{title} cannot be installed: {error}") from None
        _consistent(title, python)
        job = smoke.Job(model=None, model_id=stand_in.NAME)
        report = smoke.run(python, job)
        if not report.passed:
            failed = next((stage for stage in report.stages if not stage.passed), None)
            why = failed.error if failed else f"it answered {report.answer!r}"
            raise RecipeError(f"{title} does not run: {why}")
        full = subprocess.run(
            [python, "-c", "import platform; print(platform.python_version())"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    say(f"{title}: proven with Python {full} in {report.seconds:.0f} s")
    return Proof(
        on=datetime.datetime.now(datetime.timezone.utc).date(),
        where=f"Python {full}, {platform.system()} {platform.machine()}",
        pins=digest(lock),
    )


def _consistent(title: str, python: str) -> None:
    """Raises ``RecipeError`` where the installed packages do not go together by their metadata."""
    done = subprocess.run(
        [uv.binary(), "pip", "check", "--python", python, "--color=never"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RecipeError(f"{title}: uv pip check says: {' '.join(done.stderr.split())}")


def _quiet(line: str) -> None:
    """Progress that nobody needs: errors come with the exception."""
