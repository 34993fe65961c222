"""Starts the doctor with another program in the place of uv: ``python -I started.py UV WORDS…``."""

import sys
from pathlib import Path

import uv

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

uv.find_uv_bin = lambda: sys.argv[1]

from doctor.cli import main  # noqa: E402 it finds uv as it is now

sys.exit(main(sys.argv[2:]))
