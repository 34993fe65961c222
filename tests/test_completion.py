"""Completion, typed into real shells."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from doctor.commands import SUMMARIES
from doctor.commands.completion import SHELLS
from tests.conftest import Doctor

# How each is started bare, and told where its completion is.
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {}; PS1=READY; PS1=${{PS1}}'> '\n"),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -U compinit; compinit -u -D; eval "$(cat {})"; '
        "PROMPT=READY; PROMPT=$PROMPT'> '\n",
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "source {}; function fish_prompt; echo -n READY; echo -n '> '; end\n",
    ),
}
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[()].|.)|\r")


class Typed:
    """A shell in a terminal of its own."""

    def __init__(self, shell: str, script: Path) -> None:
        command, setup = START[shell]
        child, self._terminal = pty.fork()
        if child == 0:
            os.chdir(script.parent)
            environment = {
                **os.environ,
                "TERM": "xterm",
                "LC_ALL": "C.UTF-8",
                "HOME": str(script.parent),
            }
            os.execvpe(command[0], command, environment)
        self._child = child
        os.write(self._terminal, setup.format(script).encode())
        self.until("READY> ")

    def until(self, words: str, seconds: float = 20) -> str:
        """What the shell writes until these words, or until it is late."""
        seen = ""
        end = time.monotonic() + seconds
        while words not in seen and time.monotonic() < end:
            if select.select([self._terminal], [], [], 0.2)[0]:
                # Some shells ask the terminal where the cursor is before they begin.
                data = os.read(self._terminal, 65536).decode("utf-8", "replace")
                if "\x1b[6n" in data:
                    os.write(self._terminal, b"\x1b[1;1R")
                seen += _ESCAPES.sub("", data)
        return seen

    def type(self, text: str, words: str) -> str:
        """What appears when something is typed, until these words."""
        os.write(self._terminal, text.encode())
        return self.until(words)

    def close(self) -> None:
        """End the shell."""
        os.close(self._terminal)
        os.waitpid(self._child, 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_completes(shell: str, doctor: Doctor) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = doctor.folder / "script"
    script.write_text(doctor("completion", shell).out)
    (doctor.folder / "somebodys.zip").write_text("")
    typed = Typed(shell, script)
    try:
        # One answer is completed in the line, several are listed.
        seen = typed.type("vlm-doctor compl\t", "completion")
        assert "completion" in seen
        typed.type("\x15", "")
        seen = typed.type("vlm-doctor check --sav\t", "--save-facts")
        assert "--save-facts" in seen
        typed.type("\x15", "")
        seen = typed.type("vlm-doctor check --facts some\t", "somebodys.zip")
        assert "somebodys.zip" in seen
        typed.type("\x15", "")
        seen = typed.type("vlm-doctor explain torchvision-mis\t\t", "ision-missing")
        assert "ision-missing" in seen
    finally:
        typed.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_of_their_shells(shell: str, tmp_path: Path, doctor: Doctor) -> None:
    text = doctor("completion", shell).out
    for command in SUMMARIES:
        assert command in text
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(text)
        assert subprocess.run([shell, "-n", str(tmp_path / "script")], check=False).returncode == 0


def test_another_shell_is_refused(doctor: Doctor) -> None:
    assert doctor("completion", "tcsh").code == 2
    assert doctor("completion").code == 2
    assert doctor.json("completion", "bash").report["shell"] == "bash"
