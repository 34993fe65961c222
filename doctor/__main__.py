"""``python -m doctor``: the same as the command ``vlm-doctor``."""

import sys

from doctor.cli import main

sys.exit(main())
