#!/usr/bin/python
"""The Ansible module: vlm-doctor on a machine, ``check`` in check mode and ``fix`` otherwise."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vlm_doctor
short_description: Says whether a vision-language model runs with MLX, and makes it run
description:
  - In check mode, runs C(vlm-doctor check) and says whether a fix would change anything.
  - Otherwise runs C(vlm-doctor fix), which proves its work with a generation or puts all back.
options:
  executable:
    description: The command vlm-doctor on the machine.
    type: path
    default: vlm-doctor
  venv:
    description: The environment to examine (without it and C(python), the one that is found).
    type: path
  python:
    description: The interpreter to examine.
    type: path
  model:
    description: A Hub id or a model's folder.
    type: str
  recipe:
    description: The recipe to repair from.
    type: str
  wheels:
    description: A folder on the machine to install the wheels from.
    type: path
  offline:
    description: Use no network.
    type: bool
    default: false
  force:
    description: Repair even if other packages break.
    type: bool
    default: false
  bundle:
    description: Also write a bundle for support to this file, as the machine is afterwards.
    type: path
attributes:
  check_mode:
    support: full
author: the authors of vlm-doctor
"""

EXAMPLES = r"""
- name: The vision-language model runs here
  vlm.doctor.vlm_doctor:
    venv: ~/vlm/.venv
"""

RETURN = r"""
outcome:
  description: What became of it, as C(vlm-doctor fix) says; in check mode what would.
  type: str
  returned: always
verdict:
  description: What the check says, before any fix.
  type: str
  returned: where the environment could be examined
findings:
  description: The codes of the findings that are errors, before any fix.
  type: list
  elements: str
  returned: where the environment could be examined
report:
  description: The whole document that vlm-doctor printed (schema vlm-doctor/report/1).
  type: dict
  returned: always
ansible_facts:
  description: Under C(vlm_doctor), the verdict, findings, packages and Python as they are now.
  type: dict
  returned: where the environment could be examined
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule

GOOD = ("fixed", "nothing-to-do", "planned")


def main():
    """Run the doctor, and say it in Ansible's way."""
    module = AnsibleModule(
        argument_spec={
            "executable": {"type": "path", "default": "vlm-doctor"},
            "venv": {"type": "path"},
            "python": {"type": "path"},
            "model": {"type": "str"},
            "recipe": {"type": "str"},
            "wheels": {"type": "path"},
            "offline": {"type": "bool", "default": False},
            "force": {"type": "bool", "default": False},
            "bundle": {"type": "path"},
        },
        mutually_exclusive=[("venv", "python")],
        supports_check_mode=True,
    )
    target = _options(module, "venv", "python", "model")
    how = _options(module, "recipe", "wheels", "offline", "force")
    if module.check_mode:
        report = _doctor(module, "check", *target)
        before, outcome = report, "nothing-to-do"
        if report["verdict"] == "broken" or module.params["recipe"]:
            report = _doctor(module, "fix", "--dry-run", *target, *how)
            outcome = report["outcome"]
    else:
        report = _doctor(module, "fix", "--yes", *target, *how)
        before, outcome = report["before"], report["outcome"]
    now = report.get("after") or before
    result = {
        "changed": outcome in ("fixed", "planned"),
        "outcome": outcome,
        "report": report,
        "verdict": before["verdict"],
        "findings": _codes(before),
        "ansible_facts": {
            "vlm_doctor": {
                "verdict": now["verdict"],
                "findings": _codes(now),
                "packages": now["target"]["packages"],
                "python": now["target"]["python"],
                "version": now["tool"]["version"],
            }
        },
    }
    if outcome not in GOOD:
        module.fail_json(msg=f"{outcome}: {report.get('reason')}", **result)
    if module.params["bundle"] and not module.check_mode:
        _bundle(module, target)
    module.exit_json(**result)


def _options(module, *names):
    """The doctor's options for the module's of the same names."""
    words = []
    for name in names:
        value = module.params[name]
        if value is True:
            words.append("--" + name)
        elif value not in (None, False):
            words += ["--" + name, str(value)]
    return words


def _codes(check):
    return [
        finding["code"]
        for finding in check["findings"]
        if finding["severity"] == "error" and finding["ignored"] is None
    ]


def _doctor(module, *words):
    """The document that the doctor prints. Fails where it has no report to give."""
    command = [module.params["executable"], *words, "--format", "json"]
    code, out, err = module.run_command(command, handle_exceptions=False)
    try:
        document = json.loads(out)
    except ValueError:
        module.fail_json(msg="vlm-doctor said nothing that can be read", rc=code, stderr=err)
    if "error" in document:
        error = document["error"]
        message = f"{error['message']} {error['hint']}".strip()
        module.fail_json(msg=message, report=document, rc=code)
    return document


def _bundle(module, target):
    path = module.params["bundle"]
    if os.path.exists(path):
        os.remove(path)
    _doctor(module, "bundle", path, *target)


if __name__ == "__main__":
    main()
