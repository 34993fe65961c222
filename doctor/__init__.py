"""vlm-doctor: says whether a vision-language model will run with MLX here, and makes it run.

In programs: ``doctor.check()``, ``doctor.fix()`` and ``doctor.prove()`` give the reports that the
commands print (see ``doctor/api.py``).
"""

# Nothing is imported here, not even typing: see start.py. Type checkers take this for true.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from doctor.api import check, fix, prove
    from doctor.errors import CouldNot, DoctorError, Refused

__version__ = "0.1.0"

__all__ = ["CouldNot", "DoctorError", "Refused", "__version__", "check", "fix", "prove"]


if not TYPE_CHECKING:  # to them it would say that any name is there

    def __getattr__(name: str) -> object:
        """What programs use, imported when it is: the command line starts without it."""
        if name in ("check", "fix", "prove"):
            from doctor import api

            return getattr(api, name)
        if name in ("CouldNot", "DoctorError", "Refused"):
            from doctor import errors

            return getattr(errors, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
