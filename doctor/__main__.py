"""``python -m doctor``: the same as the command ``vlm-doctor``."""

from doctor.start import main

main()
