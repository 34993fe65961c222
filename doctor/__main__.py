"""``python -m doctor``: the same as the command ``vlm-doctor``."""

import sys

from doctor.start import main

sys.exit(main())
