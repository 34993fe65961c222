"""Starts the doctor with another program in the place of uv: ``python -I started.py UV WORDS…``."""

import sys

import uv

uv.find_uv_bin = lambda: sys.argv[1]

from doctor.cli import main  # noqa: E402 it finds uv as it is now

sys.exit(main(sys.argv[2:]))
