"""The fault matrix: what a fix needs is taken away, one thing at a time.

Every row says what is done, how the fix has to end, and what the environment has to be afterwards.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from doctor.packages import recipes
from tools.faults.place import UV, Place, differences

# Where libfaketime is, if it is: it lets the clock of a program jump.
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
TOOLS = {name: shutil.which(name) or name for name in ("mount", "umount", "chattr")}


@dataclass(frozen=True)
class Row:
    """One fault: how the doctor ended, what it said; ``wrong`` if that is not as promised."""

    fault: str
    code: int
    outcome: str
    said: str
    tree: str
    wrong: str | None
    seconds: float


@dataclass(frozen=True)
class Fault:
    """What is done to a fix, and how it may end: exit status, outcome, and the environment."""

    name: str
    run: Callable[[Trials], tuple[int, str, str]]
    code: int
    outcome: str
    tree: str = "before"


class Trials:
    """The environment that all faults are tried on."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.environment = place.folder / "environment"
        self.before = place.shot(place.base)

    @property
    def target(self) -> tuple[str, str]:
        """The words that name the environment."""
        return "--python", str(self.environment / "bin" / "python")

    @property
    def packages(self) -> Path:
        """The environment's folder of packages."""
        return next((self.environment / "lib").glob("python3*/site-packages"))

    def try_out(self, fault: Fault) -> Row:
        """One fault on a fresh copy."""
        shutil.rmtree(self.place.folder / "state", ignore_errors=True)
        self.place.copy()
        started = time.monotonic()
        code, outcome, said = fault.run(self)
        wrong = differences(self.before, self.place.shot(self.environment))
        tree = "differs" if wrong else "before"
        problem = None
        if (code, outcome) != (fault.code, fault.outcome):
            problem = f"it should end with {fault.code}, {fault.outcome}"
        elif tree == "differs" and fault.tree == "before":
            problem = f"not as before: {wrong}"
        elif "\n" in said or not said:
            problem = "it should say why in one line"
        seconds = round(time.monotonic() - started, 1)
        said = said.replace(str(self.place.folder), "…").replace(str(Path.home()), "~")[:300]
        return Row(fault.name, code, outcome, said, tree, problem, seconds)

    def fix(self, **options: Any) -> tuple[int, str, str]:
        """A fix: exit status, outcome, reason."""
        code, report, _ = self.place.run("fix", "--yes", *self.target, **options)
        return code, *_end(report)

    def program(self, text: str) -> str:
        """A shell program to be taken for uv; ``$UV`` is the real one."""
        script = self.place.folder / "uv"
        script.write_text(f'#!/bin/sh\nUV="{UV}"\nHERE="{self.place.folder}"\n{text}\n')
        script.chmod(0o755)
        return str(script)


def _end(report: dict[str, Any]) -> tuple[str, str]:
    error = report.get("error")
    if error is not None:
        ends = {2: "refused", 130: "interrupted"}
        return ends.get(report["exit_code"], "failed"), str(error["message"])
    return str(report["outcome"]), str(report.get("reason") or "it works")


def _uv(text: str) -> Callable[[Trials], tuple[int, str, str]]:
    """A fix with this program in the place of uv."""
    return lambda trials: trials.fix(instead=trials.program(text))


def _signalled(
    number: signal.Signals, words: str, times: int = 1
) -> Callable[[Trials], tuple[int, str, str]]:
    """A fix that gets a signal as soon as it says these words (none: when it begins)."""

    def run(trials: Trials) -> tuple[int, str, str]:
        process = trials.place.start("fix", "--yes", *trials.target, "--format", "json")
        assert process.stderr is not None
        if words:
            for line in process.stderr:
                if line.startswith(words):
                    break
        else:
            time.sleep(1)
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.05)
        out, _ = process.communicate()
        return process.returncode, *_end(json.loads(out))

    return run


def _two_doctors(trials: Trials) -> tuple[int, str, str]:
    first = trials.place.start("fix", "--yes", *trials.target)
    assert first.stderr is not None
    for line in first.stderr:
        if line.startswith("Install"):
            break
    second = trials.fix()
    first.communicate()
    assert first.returncode == 0
    assert f"process {first.pid}, since " in second[2]
    assert trials.place.run("undo", *trials.target)[0] == 0
    return second


def _unheard(trials: Trials) -> tuple[int, str, str]:
    """Nobody reads what the doctor says: it must not stop half-way for that."""
    process = trials.place.start(
        *("fix", "--yes", *trials.target),
        instead=trials.program('exec "$UV" "$@" --offline --no-cache'),
    )
    assert process.stderr is not None
    process.stderr.readline()
    process.stderr.close()
    process.stderr = None
    out, _ = process.communicate()
    last = out.strip().splitlines()[-1]
    return process.returncode, last.split(":")[0], last


def _clock(trials: Trials) -> tuple[int, str, str]:
    """The clock jumps by 400 days while uv installs; afterwards everything is taken back."""
    offset = trials.place.folder / "clock"
    offset.write_text("+0\n")
    code, outcome, said = trials.fix(
        instead=trials.program('unset LD_PRELOAD; echo +400d > "$HERE/clock"; exec "$UV" "$@"'),
        variables={
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
        },
    )
    assert trials.place.run("undo", *trials.target)[1]["outcome"] == "undone"
    return code, outcome, said


def _changed_meanwhile(trials: Trials) -> tuple[int, str, str]:
    """Somebody installs something while the doctor keeps what is there."""
    process = trials.place.start("fix", "--yes", *trials.target, "--format", "json")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Keeping"):
            break
    folder = trials.packages / "another-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n")
    out, _ = process.communicate()
    shutil.rmtree(folder)
    return process.returncode, *_end(json.loads(out))


def _wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel of one module, in a folder."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"version = {version!r}\n",
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{metadata}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{metadata}/RECORD": record}.items():
            archive.writestr(file, text)
    return path


def _pip(trials: Trials, *words: str) -> str:
    """The command of a pip of another Python that works on the environment."""
    python = Path(sys.base_prefix) / "bin" / "python3"
    options = ["--isolated", "--disable-pip-version-check", "--python", trials.target[1]]
    return shlex.join([str(python), "-m", "pip", *options, *words])


def _pip_beside(uv: str) -> Callable[[Trials], tuple[int, str, str]]:
    """A real pip installs something else while uv is at work, and again is not lost by an undo."""

    def run(trials: Trials) -> tuple[int, str, str]:
        wheel = _wheel(trials.place.folder, "another", "1.0")
        pip = _pip(trials, "install", "--quiet", "--no-index", "--no-deps", str(wheel))
        end = trials.fix(instead=trials.program(f"{pip} & {uv}; status=$?; wait; exit $status"))
        if end[1] == "fixed":
            assert trials.place.run("undo", *trials.target)[1]["outcome"] == "undone"
        assert "another 1.0" in end[2], end
        assert (trials.packages / "another" / "__init__.py").read_text() == "version = '1.0'\n"
        away = _pip(trials, "uninstall", "--yes", "another")
        subprocess.run(shlex.split(away), check=True, capture_output=True)
        return end

    return run


def _pip_at_the_same(trials: Trials) -> tuple[int, str, str]:
    """A real pip puts another version in the place of one that uv has just installed."""
    wheel = _wheel(trials.place.folder, "truststore", "0.1")
    pip = _pip(trials, "install", "--quiet", "--no-index", "--no-deps", str(wheel))
    return trials.fix(instead=trials.program(f'"$UV" "$@"; {pip}'))


def _immutable(trials: Trials) -> tuple[int, str, str]:
    path = trials.packages / "mlx_vlm" / "generate.py"
    text = path.read_bytes()
    status = path.stat()
    path.unlink()  # the copies of the environment share their files
    path.write_bytes(text)
    path.chmod(status.st_mode & 0o777)
    subprocess.run([TOOLS["chattr"], "+i", str(path)], check=True)
    try:
        return trials.fix()
    finally:
        subprocess.run([TOOLS["chattr"], "-i", str(path)], check=True)


def _read_only(trials: Trials) -> tuple[int, str, str]:
    path = str(trials.packages / "transformers")
    subprocess.run([TOOLS["mount"], "--bind", path, path], check=True)
    try:
        subprocess.run([TOOLS["mount"], "-o", "remount,ro,bind", path], check=True)
        return trials.fix()
    finally:
        subprocess.run([TOOLS["umount"], path], check=True)


@contextlib.contextmanager
def _small_disk(path: Path, size: str) -> Iterator[None]:
    path.mkdir(exist_ok=True)
    subprocess.run(
        [TOOLS["mount"], "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], check=True
    )
    try:
        yield
    finally:
        subprocess.run([TOOLS["umount"], str(path)], check=True)


def _full_disk(trials: Trials) -> tuple[int, str, str]:
    """The disk of the environment fills up while uv installs."""
    kept = trials.place.folder / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    trials.environment.rename(kept)
    trials.environment.mkdir()
    with _small_disk(trials.environment, "2g"):
        shutil.copytree(kept, trials.environment, symlinks=True, dirs_exist_ok=True)
        before = trials.place.shot(trials.environment)
        fill = 'dd if=/dev/zero of="$HERE/environment/filler" bs=1M 2>/dev/null; "$UV" "$@"'
        code, outcome, said = trials.fix(
            instead=trials.program(fill), variables={"UV_LINK_MODE": "copy"}
        )
        (trials.environment / "filler").unlink()
        wrong = differences(before, trials.place.shot(trials.environment))
        assert not wrong, wrong
    trials.environment.rmdir()
    kept.rename(trials.environment)
    return code, outcome, said


def _full_state(size: str, program: str) -> Callable[[Trials], tuple[int, str, str]]:
    def run(trials: Trials) -> tuple[int, str, str]:
        state = trials.place.folder / "small"
        with _small_disk(state, size):
            return trials.fix(
                instead=trials.program(program), variables={"VLM_DOCTOR_STATE": str(state)}
            )

    return run


def _index(kind: str) -> Callable[[Trials], tuple[int, str, str]]:
    """A fix that has only an index of this kind to install from."""

    def run(trials: Trials) -> tuple[int, str, str]:
        with _serving(kind) as address:
            empty = trials.place.folder / "uv-cache"
            shutil.rmtree(empty, ignore_errors=True)
            return trials.fix(
                variables={
                    "UV_DEFAULT_INDEX": address,
                    "UV_CACHE_DIR": str(empty),
                    "UV_HTTP_TIMEOUT": "2",
                    "UV_HTTP_RETRIES": "1",
                    "UV_NO_CONFIG": "1",
                }
            )

    return run


@contextlib.contextmanager
def _serving(kind: str) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            if kind == "nothing":
                return
            if kind in ("404", "500"):
                self._answer(int(kind), b"no")
            elif self.path.endswith(".whl"):
                self._wheel()
            else:
                self._answer(200, _page(self.path.strip("/").split("/")[-1], kind))

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, code: int, content: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):  # who asked may have gone
                self.wfile.write(content)

        def _wheel(self) -> None:
            content = b"PK" + b"x" * 5000
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content[: 1000 if kind == "half" else len(content)])
            if kind == "slow":
                time.sleep(4)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        server.shutdown()
        server.server_close()


def _page(name: str, kind: str) -> bytes:
    """A page that offers the version that the recipe wants, by its hash or by another."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    place = recipes.Place(platform="linux-x86_64", backend="cpu", python=python)
    lock = recipes.FOLDER / "locks" / recipes.DEFAULT / f"{place.name}.txt"
    for line in lock.read_text().splitlines():
        if line.startswith(f"{name}=="):
            version = line.split("==")[1].split()[0].rstrip("\\")
            digest = "0" * 64 if kind == "other hash" else _digest(lock, name)
            file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
            return f'<a href="/{file}#sha256={digest}">{file}</a>'.encode()
    return b""


def _digest(lock: Path, name: str) -> str:
    text = lock.read_text().split(f"{name}==", 1)[1]
    return text.split("sha256:", 1)[1][:64]


BACK = (1, "rolled-back")
STEPS = ("", "Keeping", "Install", "Resolved", "Installed", "Checking again")

FAULTS = (
    Fault("uv is missing", lambda trials: trials.fix(instead="/nowhere/uv"), *BACK),
    Fault("uv crashes at once", _uv("kill -SEGV $$"), *BACK),
    Fault("uv fails without a word", _uv("exit 2"), *BACK),
    Fault("uv does nothing and says that all is well", _uv("exit 0"), *BACK),
    Fault(
        "uv is killed half-way",
        _uv('"$UV" "$@" & sleep 0.2; kill -9 $!; wait $!; exit 137'),
        *BACK,
    ),
    Fault(
        "the target's Python goes away",
        _uv('"$UV" "$@"; rm "$HERE"/environment/bin/python*'),
        *BACK,
    ),
    Fault(
        "packages go away after the install",
        _uv('"$UV" "$@"; rm -r "$HERE"/environment/lib/python3*/site-packages/[a-m]*'),
        *BACK,
    ),
    Fault("the disk is full", _full_disk, *BACK),
    Fault("the state folder's disk is full at once", _full_state("600k", 'exec "$UV" "$@"'), *BACK),
    Fault(
        "the state folder's disk is full at the end",
        _full_state("40m", '"$UV" "$@"; dd if=/dev/zero of="$HERE/small/filler" 2>/dev/null; true'),
        *BACK,
    ),
    Fault("a folder is mounted read-only", _read_only, *BACK),
    Fault("a file may not be removed", _immutable, *BACK),
    *(
        Fault(f"the index: {kind}", _index(kind), *BACK)
        for kind in ("404", "500", "nothing", "slow", "half", "corrupt", "other hash")
    ),
    Fault("the clock jumps", _clock, 0, "fixed"),
    Fault("two doctors", _two_doctors, 2, "refused"),
    Fault("something else is installed meanwhile", _changed_meanwhile, 2, "refused"),
    Fault("pip installs something else beside uv", _pip_beside('"$UV" "$@"'), 0, "fixed"),
    Fault("pip installs something else, and uv fails", _pip_beside("false"), *BACK),
    Fault("pip changes what uv has installed", _pip_at_the_same, *BACK),
    Fault("nobody listens", _unheard, *BACK),
    *(
        Fault(
            f"{number.name} at: {words or 'the beginning'}",
            _signalled(number, words),
            130,
            "interrupted",
        )
        for number in (signal.SIGINT, signal.SIGTERM)
        for words in STEPS
    ),
    Fault("SIGHUP at: Installed", _signalled(signal.SIGHUP, "Installed"), 130, "interrupted"),
    Fault("SIGINT three times", _signalled(signal.SIGINT, "Installed", 3), 130, "interrupted"),
)


def take_away(place: Place, results: Path, only: str) -> bool:
    """Try every fault, write down what happened, and say whether all went as promised."""
    trials = Trials(place)
    rows: list[Row] = []
    for fault in FAULTS:
        if only not in fault.name or (fault.run is _clock and FAKETIME is None):
            continue
        row = trials.try_out(fault)
        rows.append(row)
        print(row, flush=True)
        text = json.dumps([asdict(one) for one in rows], indent=1, ensure_ascii=False)
        results.write_text(text + "\n")
    return all(row.wrong is None for row in rows)
