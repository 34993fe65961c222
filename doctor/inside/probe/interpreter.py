"""What this interpreter is, and where it would look for modules."""

from __future__ import annotations

import os
import site
import sys

# As ``platform.python_implementation`` has it; importing ``platform`` costs a tenth of a look.
IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy"}


def search_path() -> list[dict]:
    """``sys.path`` as an ordinary start would make it, as ``{"path", "kind"}`` in order.

    The kinds are ``pythonpath``, ``standard-library``, ``site-packages``, ``user-site`` and ``pth``
    (a folder that a ``.pth`` file adds, as editable installs do). The current folder is not in it.
    The target's own ``site`` module finds the folders, since Debian and conda each have their own;
    ``.pth`` files are read here and the code in them is not run.
    """
    entries: list[dict] = []
    seen: set[str] = set()

    def add(path: str, kind: str) -> None:
        path = os.path.abspath(path)
        if path not in seen:
            seen.add(path)
            entries.append({"path": path, "kind": kind})

    if not (sys.flags.ignore_environment and os.environ.get("VLM_DOCTOR_IGNORE_PYTHONPATH")):
        for path in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
            add(path, "pythonpath")
    here = os.path.dirname(os.path.abspath(__file__))
    for path in sys.path:
        if os.path.abspath(path) != here:
            add(path, "standard-library")

    def read_pth(folder: str, name: str, known_paths: object) -> object:
        for line in _pth_folders(os.path.join(folder, name)):
            path = os.path.abspath(os.path.join(folder, line))
            if os.path.isdir(path) and path not in sys.path:
                sys.path.append(path)
                pth_folders.add(path)
        return known_paths

    pth_folders: set[str] = set()
    site.addpackage = read_pth  # type: ignore[assignment]
    before = list(sys.path)
    known = site.venv(set())
    if _user_site_enabled():
        user = site.getusersitepackages()
        if os.path.isdir(user):
            site.addsitedir(user, known)
    site.addsitepackages(known)
    user_site = os.path.abspath(site.getusersitepackages())
    for path in sys.path[len(before) :]:
        if path in pth_folders:
            add(path, "pth")
        else:
            add(path, "user-site" if os.path.abspath(path) == user_site else "site-packages")
    sys.path[:] = before
    return entries


def _user_site_enabled() -> bool:
    """Whether an ordinary start adds the user's site folder; ``-I`` hides it from ``site`` here."""
    if os.environ.get("PYTHONNOUSERSITE") or site.ENABLE_USER_SITE is False:
        return False
    return not hasattr(os, "geteuid") or os.geteuid() == os.getuid()


def _pth_folders(path: str) -> list[str]:
    """The lines of a ``.pth`` file that name folders; what cannot be read names none."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            lines = file.read(1_000_000).splitlines()
    except OSError:
        return []
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith(("#", "import ", "import\t"))]


def describe(path_entries: list[dict]) -> dict:
    """The interpreter, its folders and the values that requirement markers are evaluated with."""
    import sysconfig

    system = os.uname()
    paths = sysconfig.get_paths()
    version = "{}.{}.{}".format(*sys.version_info[:3])
    if sys.version_info.releaselevel != "final":
        version += sys.version_info.releaselevel[0] + str(sys.version_info.serial)
    implementation = sys.implementation.version
    in_environment = sys.prefix != sys.base_prefix
    return {
        "executable": os.path.abspath(sys.executable),
        "version": version,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "kind": _kind(in_environment),
        "base_is_there": os.path.isdir(sys.base_prefix),
        "externally_managed": not in_environment
        and os.path.isfile(os.path.join(paths["stdlib"], "EXTERNALLY-MANAGED")),
        "writable": _writable(paths["purelib"]) and _writable(paths["scripts"]),
        "site_packages": paths["purelib"],
        "platform_site_packages": paths["platlib"],
        "scripts": paths["scripts"],
        "search_path": path_entries,
        "libc": _libc(),
        "macos": _macos(),
        "markers": {
            "implementation_name": sys.implementation.name,
            "implementation_version": "{}.{}.{}".format(*implementation[:3]),
            "os_name": os.name,
            "platform_machine": system.machine,
            "platform_python_implementation": IMPLEMENTATIONS.get(
                sys.implementation.name, sys.implementation.name
            ),
            "platform_release": system.release,
            "platform_system": system.sysname,
            "platform_version": system.version,
            "python_full_version": sys.version.partition(" ")[0],
            "python_version": "{}.{}".format(*sys.version_info[:2]),
            "sys_platform": sys.platform,
        },
    }


def _kind(in_environment: bool) -> str:
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        return "conda"
    return "virtual" if in_environment else "system"


def _writable(path: str) -> bool:
    """Whether files may be made in ``path``, or in the nearest folder above it that exists."""
    while not os.path.exists(path):
        parent = os.path.dirname(path)
        if parent == path:
            return False
        path = parent
    return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)


def _macos() -> str | None:
    """The release of macOS; null elsewhere."""
    if sys.platform != "darwin":
        return None
    import platform

    return platform.mac_ver()[0] or None


def _libc() -> str | None:
    """The C library's name and version, such as ``glibc 2.36``; null where it is not told."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None
