"""Try the Ansible collection on real targets over SSH on loopback, and record what happened.

``make ansible`` (as root, with sshd and a static busybox): four machines, of which one is well, one
is broken, one has no Python, and one cannot be reached. The role runs in check mode, then for real,
then again; the second run must change nothing. What was seen goes to
``tests/recorded/ansible.json``, which the tests hold against what is promised.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import uv

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".cache" / "rooms"
RECORD = ROOT / "tests" / "recorded" / "ansible.json"
COLLECTION = ROOT / "integrations" / "ansible"
UV = os.fsdecode(uv.find_uv_bin())
DOCTOR = ROOT / ".venv" / "bin" / "vlm-doctor"

# What is taken away to break a machine: a generation imports it.
TAKEN = "tokenizers"

_RECAP = re.compile(r"^(\w+) +: ((?:\w+=\d+ *)+)$", re.MULTILINE)

PLAYBOOK = """
- hosts: room
  gather_facts: false
  environment:
    VLM_DOCTOR_STATE: "{{ work }}/state-{{ inventory_hostname }}"
    VLM_DOCTOR_CACHE: "{{ work }}/cache"
    HF_HOME: "{{ work }}/hub"
  roles:
    - role: vlm.doctor.vlm_doctor
      vlm_doctor_install: false
      vlm_doctor_executable: "{{ doctor }}"
      vlm_doctor_venv: "{{ venv }}"
      vlm_doctor_bundle: "{{ work }}/bundles/{{ inventory_hostname }}.zip"
"""


def main() -> int:
    """Make the targets, run the playbook three times, write the record; 0 where all went well."""
    sshd, busybox = _program("sshd", "openssh-server"), _program("busybox", "busybox-static")
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "bundles").mkdir(parents=True)
    ansible = _ansible()
    well, broken = WORK / "well", WORK / "broken"
    for folder in (well, broken):
        _environment(folder)
    _uv("pip", "uninstall", "--quiet", "--python", str(broken / "bin" / "python"), TAKEN)
    _without_python(busybox)
    _keys()
    daemons = [
        _sshd(sshd, "usual", ""),
        _sshd(
            sshd,
            "bare",
            f"ForceCommand {shutil.which('chroot')} {WORK / 'bare'} /bin/sh -c "
            '"$SSH_ORIGINAL_COMMAND"',
        ),
    ]
    try:
        _inventory([port for _, port in daemons])
        runs = {
            "check": _play(ansible, "--check"),
            "first": _play(ansible),
            "second": _play(ansible),
            "check afterwards": _play(ansible, "--check"),
        }
    finally:
        for daemon, _ in daemons:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
    version = subprocess.run(
        [ansible / "ansible", "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    RECORD.write_text(json.dumps({"ansible": version, "runs": runs}, indent=1) + "\n")
    print(json.dumps(runs, indent=1))
    return 0 if runs["second"]["broken"]["changed"] == 0 else 1


def _program(name: str, package: str) -> str:
    found = os.environ.get(name.upper()) or shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        sys.exit(f"There is no {name} here (Debian, Ubuntu: apt install {package}).")
    return found


def _uv(*words: str) -> None:
    subprocess.run([UV, *words], check=True, env={**os.environ, "UV_LINK_MODE": "hardlink"})


def _ansible() -> Path:
    """The folder of Ansible's commands, in an environment of its own."""
    folder = ROOT / ".cache" / "ansible"
    if not (folder / "bin" / "ansible-playbook").exists():
        _uv("venv", "--quiet", "--no-project", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "ansible-core")
    subprocess.run(
        [
            *(folder / "bin" / "ansible-galaxy", "collection", "install", str(COLLECTION)),
            *("--force", "--collections-path", str(WORK / "collections")),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder / "bin"


def _environment(folder: Path) -> None:
    """The recipe's environment, as its lock says."""
    python = f"{sys.version_info[0]}{sys.version_info[1]}"
    lock = f"linux-{os.uname().machine}-cpu-py{python}"
    exported = subprocess.run(
        [DOCTOR, "recipes", "--export", "requirements", "--recipe", "torch-free", "--lock", lock],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (WORK / "requirements.txt").write_text(exported)
    _uv("venv", "--quiet", "--no-project", "--python", sys.executable, str(folder))
    _uv(
        *("pip", "install", "--quiet", "--python", str(folder / "bin" / "python")),
        *("--no-deps", "--require-hashes", "-r", str(WORK / "requirements.txt")),
    )


def _without_python(busybox: str) -> None:
    """A system that has a shell and its usual tools, and no Python."""
    commands = WORK / "bare" / "bin"
    commands.mkdir(parents=True)
    for folder in ("root", "tmp", "dev", "etc"):
        (WORK / "bare" / folder).mkdir()
    (WORK / "bare" / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    shutil.copy(busybox, commands / "busybox")
    subprocess.run(
        [_program("chroot", "coreutils"), WORK / "bare", "/bin/busybox", "--install", "/bin"],
        check=True,
    )


def _keys() -> None:
    for name in ("host", "user"):
        subprocess.run(
            [
                _program("ssh-keygen", "openssh-client"),
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-f",
                str(WORK / name),
            ],
            check=True,
        )


def _sshd(sshd: str, name: str, more: str) -> tuple[subprocess.Popen[bytes], int]:
    """An SSH server on a free port of this machine, and the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    Path("/run/sshd").mkdir(exist_ok=True)
    config = WORK / f"sshd-{name}"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {WORK / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {WORK / 'user.pub'}\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nSubsystem sftp internal-sftp\n{more}\n"
    )
    daemon = subprocess.Popen([sshd, "-D", "-f", str(config), "-E", str(WORK / f"{name}.log")])
    for _ in range(100):
        with socket.socket() as there:
            if there.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    return daemon, port


def _inventory(ports: list[int]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = int(nobody.getsockname()[1])
    usual, bare = ports
    # What Ansible itself runs on there. Left to discover, it may find a shim that starts nothing.
    python = {"ansible_port": usual, "ansible_python_interpreter": os.path.realpath(sys.executable)}
    hosts: dict[str, dict[str, object]] = {
        "well": {**python, "venv": str(WORK / "well")},
        "broken": {**python, "venv": str(WORK / "broken")},
        "without_python": {"ansible_port": bare, "venv": "/nowhere"},
        "unreachable": {"ansible_port": closed, "venv": "/nowhere"},
    }
    common = {
        "ansible_host": "127.0.0.1",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(WORK / "user"),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        "work": str(WORK),
        "doctor": str(DOCTOR),
    }
    (WORK / "hosts.json").write_text(json.dumps({"room": {"hosts": hosts, "vars": common}}))
    (WORK / "play.yml").write_text(PLAYBOOK)


def _play(ansible: Path, *words: str) -> dict[str, Any]:
    """What a run of the playbook did, by machine: Ansible's own counts, and the last result."""
    results = WORK / "results"
    shutil.rmtree(results, ignore_errors=True)
    run = subprocess.run(
        [ansible / "ansible-playbook", "-i", WORK / "hosts.json", WORK / "play.yml", *words],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(WORK / "collections"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.tree",
            "ANSIBLE_CALLBACK_TREE_DIR": str(results),
            "ANSIBLE_HOME": str(WORK / "home"),
            "ANSIBLE_NOCOLOR": "1",
        },
    )
    with (WORK / "ansible.log").open("a") as log:
        log.write(run.stdout + run.stderr)
    seen: dict[str, Any] = {}
    for host, counts in _RECAP.findall(run.stdout):
        result = json.loads((results / host).read_text()) if (results / host).exists() else {}
        numbers = dict(pair.split("=") for pair in counts.split())
        seen[host] = {
            **{name: int(numbers[name]) for name in ("changed", "failed", "unreachable")},
            **{name: result.get(name) for name in ("outcome", "verdict", "findings")},
            "facts": result.get("ansible_facts", {}).get("vlm_doctor", {}).get("verdict"),
            "message": str(result.get("msg", "")).replace(str(ROOT), "~").split("\n")[0][:200],
        }
    return seen


if __name__ == "__main__":
    sys.exit(main())
