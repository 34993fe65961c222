"""What argparse says by itself (that of Python 3.10 to 3.14), as the doctor prints it."""

ARGPARSE = (
    "usage",
    "positional arguments",
    "options",
    "show this help message and exit",
    "show program's version number and exit",
    "The following arguments are required: {0}.",
    "Unrecognized arguments: {0}.",
    "One of the arguments {0} is required.",
    "Argument {0}: not allowed with argument {1}.",
    "Argument {0}: expected one argument.",
    "Argument {0}: expected at least one argument.",
    "Argument {0}: expected {1} arguments.",
    "Argument {0}: ignored explicit argument {1}.",
    "Argument {0}: invalid {1} value: {2}.",
    "Argument {0}: invalid choice: {1} (choose from {2}).",
)
