"""A small environment with packages made up for it, as an installer would have left them.

The probe is started in it as the doctor starts it, and held against what its own Python does.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests import probe

# What a generation starts with, and a package that is only reached.
PACKAGES: dict[str, dict[str, str]] = {
    "mlx_vlm": {
        "mlx_vlm/__init__.py": "from .utils import load\nfrom other import tool\n",
        "mlx_vlm/utils.py": "def load():\n    return helper()\n\n\ndef helper():\n    return 1\n",
        "mlx_vlm/prompt_utils.py": "import other.extra\nimport queue\n\nKIND = queue.Queue\n",
        "mlx_vlm/unused.py": "import not_there\n",
    },
    "other": {
        "other/__init__.py": "from .inner import tool\n"
        "try:\n    from . import fast\nexcept ImportError:\n    fast = None\n",
        "other/inner.py": "value = 2\n\n\ndef tool():\n    return value\n",
        "other/fast.py": "value = 3\n",
        "other/extra.py": "import single\n\nLEVEL = single.LEVEL\n",
        "other/unused.py": "value = 4\n",
        "other/tests/test_other.py": "assert True\n",
        "other/data.json": "{}\n",
    },
    "single": {"single.py": "LEVEL = 1\n"},
    "jinja2": {"jinja2/__init__.py": "value = 1\n"},
    "pillow": {
        "PIL/__init__.py": "value = 1\n",
        "PIL/PngImagePlugin.py": "",
        "PIL/JpegImagePlugin.py": "",
    },
}

# What a real run of these packages does.
RUN = "import mlx_vlm, mlx_vlm.prompt_utils, jinja2; mlx_vlm.load()"


def make(folder: Path) -> Path:
    """The interpreter of a new environment with the packages; ``other`` requires ``single``."""
    python = probe.make_venv(folder)
    site = probe.site_packages(python)
    for name, files in PACKAGES.items():
        probe.write(site, files)
        information = f"{name}-1.0.dist-info"
        requires = "Requires-Dist: single\n" if name == "other" else ""
        record = "".join(f"{path},,{len(text)}\n" for path, text in files.items())
        probe.write(
            site / information,
            {
                "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}",
                "RECORD": f"{record}{information}/RECORD,,\n",
            },
        )
    return python


def runs(python: Path) -> bool:
    """Whether a real run succeeds, with the variables that are set now."""
    # A Python that start-up code ends with status 0 has not run anything either.
    command = [str(python), "-c", RUN + "; print('ran')"]
    result = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return result.stdout.endswith(b"ran\n")


def ask(python: Path, **question: object) -> dict[str, Any]:
    """The probe's answer."""
    return probe.ask(python, **question)


def change(site: Path, changes: dict[str, str | None]) -> None:
    """Write files, or remove those that are null."""
    for path, text in changes.items():
        if text is None:
            (site / path).unlink()
        else:
            probe.write(site, {path: text})
