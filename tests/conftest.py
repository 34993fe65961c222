"""What the tests share: the doctor as a program, real environments, and recorded facts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import uv

from doctor import facts as facts_module
from doctor.facts import Facts

# Whoever starts the tests in the background may have these ignored, and the doctor inherits that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
RECORDED = Path(__file__).parent / "recorded"
SCHEMA = json.loads((ROOT / "doctor" / "schema" / "report-1.json").read_text())
UV = os.fsdecode(uv.find_uv_bin())

# MLX needs a backend of its own on Linux; on a Mac it comes by itself.
MLX_EXTRA = "[cpu]" if sys.platform == "linux" else ""

# The report's environment, section 1.1 and 4.1 of the field report, without torch and torchvision.
REPORT_PACKAGES = (
    "mlx-vlm==0.3.9",
    "transformers==4.57.3",
    "tokenizers==0.22.1",
    "huggingface-hub==0.36.0",
    f"mlx{MLX_EXTRA}==0.30.0",
)


@dataclass(frozen=True)
class Run:
    """What a run of the doctor said."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """The JSON document, held against the published schema."""
        document = json.loads(self.out)
        jsonschema.validate(document, SCHEMA)
        assert isinstance(document, dict)
        return document

    @property
    def codes(self) -> list[str]:
        """The codes of a check's findings, the worst first."""
        return [finding["code"] for finding in self.report["findings"]]


@dataclass(frozen=True)
class Doctor:
    """The command line as a user starts it, with folders of its own."""

    folder: Path
    variables: dict[str, str]

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start the doctor and do not wait."""
        return subprocess.Popen(
            [sys.executable, "-m", "doctor", *words],
            cwd=self.folder,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, **variables: str) -> Run:
        """Run the doctor. Whatever it is told, no traceback may reach its user."""
        process = self.start(*words, **variables)
        out, err = process.communicate(timeout=500)
        assert "Traceback (most recent call last)" not in err
        return Run(process.returncode, out, err)

    def json(self, *words: str, **variables: str) -> Run:
        """Run the doctor with ``--format json``."""
        return self(*words, "--format", "json", **variables)


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """The doctor, with its state in this test's folder and an empty Hub cache."""
    return make_doctor(tmp_path)


def make_doctor(folder: Path) -> Doctor:
    """A doctor whose state, cache and Hub cache are below ``folder``."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "VLM_DOCTOR_", "PYTHON"))
        and name not in ("VIRTUAL_ENV", "CONDA_PREFIX")
    }
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return Doctor(
        work,
        {
            **inherited,
            "VLM_DOCTOR_STATE": str(folder / "state"),
            "VLM_DOCTOR_CACHE": str(folder / "doctor-cache"),
            "HF_HOME": str(folder / "hub"),
            "PYTHONPATH": str(ROOT),
            # Chance decides whether transformers names PyTorch or Torchvision first.
            "PYTHONHASHSEED": "0",
        },
    )


MakeEnvironment = Callable[..., Path]


def make_environment(folder: Path, *requirements: str, without_dependencies: bool = False) -> Path:
    """A real virtual environment made by uv, without pip; the path of its interpreter."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run(
            [UV, "--quiet", "venv", "--no-project", "--python", sys.executable, str(folder)],
            check=True,
        )
    if requirements:
        command = [UV, "--quiet", "pip", "install", "--python", str(python), *requirements]
        subprocess.run(command + ["--no-deps"] * without_dependencies, check=True)
    return python


def remove_packages(python: Path, *names: str) -> None:
    """Remove packages from an environment."""
    subprocess.run([UV, "--quiet", "pip", "uninstall", "--python", str(python), *names], check=True)


@pytest.fixture
def empty_environment(tmp_path: Path) -> Path:
    """The interpreter of an environment with nothing in it."""
    return make_environment(tmp_path / "empty")


@pytest.fixture
def report_environment(tmp_path: Path) -> Path:
    """The interpreter of the field report's broken environment, fresh for each test."""
    return make_environment(tmp_path / "report", *REPORT_PACKAGES)


@dataclass(frozen=True)
class Fixed:
    """An environment that the doctor repaired, its report, and the doctor that did it."""

    python: Path
    doctor: Doctor
    run: Run


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fixed:
    """An environment that ``fix --new-venv`` made; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("fresh")
    doctor = make_doctor(folder)
    environment = folder / "environment"
    run = doctor.json("fix", "--yes", "--new-venv", str(environment))
    return Fixed(environment / "bin" / "python", doctor, run)


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every path below a folder: type, mode, content, time or link; compiled files aside."""
    result: dict[str, tuple[object, ...]] = {}
    for parent, folders, files in os.walk(folder):
        if "__pycache__" in folders:
            folders.remove("__pycache__")
        for name in (*folders, *files):
            path = Path(parent) / name
            status = path.lstat()
            key = os.fsdecode(path.relative_to(folder))
            if path.is_symlink():
                result[key] = ("link", os.readlink(path))
            elif path.is_dir():
                result[key] = ("folder", status.st_mode)
            else:
                result[key] = ("file", status.st_mode, status.st_mtime_ns, path.read_bytes())
    return result


def recorded(name: str) -> Facts:
    """Facts that were recorded in a real environment (see ``recorded/README.md``)."""
    return facts_module.decode((RECORDED / f"{name}.json").read_bytes())


@pytest.fixture(params=["report", "torch-free", "matched"])
def any_facts(request: pytest.FixtureRequest) -> Iterator[Facts]:
    """Each of the recorded facts."""
    yield recorded(request.param)
