"""What a compiled library says of itself: how much of it is loaded, and which others it needs.

ELF as in the System V ABI and ``elf.h``, Mach-O as in Apple's ``mach-o/loader.h``.
"""

from __future__ import annotations

import glob
import os
import re
import struct
import sys

from modules import Finder

# Libraries of hundreds of megabytes exist; their headers lie at the beginning, and ELF's dynamic
# section is read where it is.
HEAD_BYTES = 65_536

# MLX's library for CUDA has some hundreds of megabytes.
MOST_BYTES = 500_000_000

# Where the loader looks by default (ld.so's manual), Debian's folders for each machine included.
SYSTEM_FOLDERS = [
    *("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"),
    *glob.glob("/usr/lib/*-linux-gnu*"),
    *glob.glob("/usr/local/cuda*/lib64"),
]

ELF_PT_LOAD, ELF_PT_DYNAMIC = 1, 2
ELF_DT_NEEDED, ELF_DT_STRTAB, ELF_DT_RPATH, ELF_DT_RUNPATH = 1, 5, 15, 29
MACHO_64, MACHO_FAT = 0xFEEDFACF, 0xCAFEBABE
MACHO_LC_SEGMENT_64, MACHO_LC_RPATH = 0x19, 0x8000001C
MACHO_LC_LOADS = (0x0C, 0x80000018, 0x8000001F)  # LOAD_DYLIB, LOAD_WEAK_DYLIB, REEXPORT_DYLIB


def describe(path: str) -> dict | None:
    """``{"loaded_bytes", "needed", "folders"}`` of a library; null where it is none that is known.

    A file shorter than ``loaded_bytes`` cannot be loaded: what lies behind is for debuggers.
    ``needed`` are the libraries that it names, ``folders`` where it looks for them.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
            if head[:6] == b"\x7fELF\x02\x01":
                return _elf(file, head, os.path.dirname(path))
            if len(head) >= 32 and struct.unpack("<I", head[:4])[0] == MACHO_64:
                return _macho(head, os.path.dirname(path), 0)
            if len(head) >= 8 and struct.unpack(">I", head[:4])[0] == MACHO_FAT:
                return _fat(file, head, os.path.dirname(path))
    except (OSError, ValueError, struct.error, OverflowError, MemoryError):
        pass
    return None


def _elf(file, head: bytes, folder: str) -> dict:  # type: ignore[no-untyped-def]
    table, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    loads, dynamic, end = [], b"", 0
    for index in range(count):
        kind, _, offset, address, _, length = struct.unpack_from(
            "<IIQQQQ", head, table + index * size
        )
        if kind == ELF_PT_LOAD:
            loads.append((address, offset, length))
            end = max(end, offset + length)
        elif kind == ELF_PT_DYNAMIC:
            file.seek(offset)
            dynamic = file.read(min(length, HEAD_BYTES))
    entries = [struct.unpack_from("<qQ", dynamic, at) for at in range(0, len(dynamic) - 15, 16)]
    strings = next((value for tag, value in entries if tag == ELF_DT_STRTAB), 0)
    for address, offset, length in loads:
        if address <= strings < address + length:
            strings += offset - address
            break

    def text(value: int) -> str:
        file.seek(strings + value)
        return file.read(4096).partition(b"\0")[0].decode("utf-8", "replace")

    searched = [text(value) for tag, value in entries if tag in (ELF_DT_RPATH, ELF_DT_RUNPATH)]
    return {
        "loaded_bytes": end,
        "needed": [text(value) for tag, value in entries if tag == ELF_DT_NEEDED],
        "folders": [
            part.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", folder)
            for part in ":".join(searched).split(":")
            if part
        ],
    }


def _macho(head: bytes, folder: str, start: int) -> dict:
    count = struct.unpack_from("<I", head, 16)[0]
    at, end = 32, 0
    needed: list[str] = []
    folders: list[str] = []
    for _ in range(count):
        kind, size = struct.unpack_from("<II", head, at)
        if size < 8:
            raise ValueError("a load command is not as long as its own head")
        if kind == MACHO_LC_SEGMENT_64:
            offset, length = struct.unpack_from("<QQ", head, at + 40)
            end = max(end, start + offset + length)
        elif kind in MACHO_LC_LOADS or kind == MACHO_LC_RPATH:
            offset = struct.unpack_from("<I", head, at + 8)[0]
            text = head[at + offset : at + size].partition(b"\0")[0].decode("utf-8", "replace")
            (folders if kind == MACHO_LC_RPATH else needed).append(
                text.replace("@loader_path", folder)
            )
        at += size
    return {"loaded_bytes": end, "needed": needed, "folders": folders}


def _fat(file, head: bytes, folder: str) -> dict | None:  # type: ignore[no-untyped-def]
    """The parts of a universal file together: they need the same libraries."""
    result: dict | None = None
    for index in range(min(struct.unpack_from(">I", head, 4)[0], 8)):
        offset, size = struct.unpack_from(">II", head, 8 + index * 20 + 8)
        file.seek(offset)
        part = file.read(HEAD_BYTES)
        if len(part) < 32 or struct.unpack("<I", part[:4])[0] != MACHO_64:
            continue
        described = _macho(part, folder, offset)
        described["loaded_bytes"] = max(offset + size, (result or described)["loaded_bytes"])
        result = described
    return result


def strays(finder: Finder) -> list[dict]:
    """MLX's own library in a folder that the loader looks into before the installed one.

    ``{"path", "lacks"}``: a symbol that the installed mlx asks for and this one has not, or null.
    ``LD_LIBRARY_PATH`` comes before the RUNPATH of a library (ld.so's manual), and
    ``DYLD_LIBRARY_PATH`` before the place that a library is asked for at (dyld's).
    """
    on_mac = sys.platform == "darwin"
    name = "libmlx.dylib" if on_mac else "libmlx.so"
    folders = os.environ.get("DYLD_LIBRARY_PATH" if on_mac else "LD_LIBRARY_PATH", "")
    core = finder.find("mlx.core")
    result = []
    for folder in filter(None, folders.split(os.pathsep)):
        path = os.path.abspath(os.path.join(folder, name))
        installed = os.path.join(os.path.dirname(core["origin"]), "lib", name) if core else ""
        if os.path.isfile(path) and core and os.path.realpath(path) != os.path.realpath(installed):
            asked = _symbols(core["origin"]) & _symbols(installed)
            lacking = sorted(asked - _symbols(path))
            result.append({"path": path, "lacks": lacking[0].decode() if lacking else None})
    return result


def _symbols(path: str) -> set[bytes]:
    """The names of MLX's own functions that stand in a library, whoever defines them."""
    try:
        with open(path, "rb") as file:
            return set(re.findall(rb"_ZNK?3mlx4core\w+", file.read(MOST_BYTES)))
    except OSError:
        return set()


def missing(starts: list[str], site_folders: list[str]) -> list[dict]:
    """``{"name", "needed_by", "folder"}`` of the libraries that these need and that are nowhere.

    Only where a library is to lie in a folder of the environment, and that folder is not there: so
    it is where the package is missing that brings it (torch's CUDA libraries come in packages of
    their own, ``nvidia/<name>/lib``, which torch also looks through by itself). Of all else the
    system's loader may know more.
    """
    brought = {
        os.path.basename(path)
        for site in site_folders
        for path in glob.glob(os.path.join(glob.escape(site), "nvidia", "*", "lib", "lib*"))
    }
    places = [*filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")), *SYSTEM_FOLDERS]
    result = []
    for path in sorted(closure(starts, {})):
        described = describe(path)
        for name in described["needed"] if described else ():
            folders = described["folders"]  # type: ignore[index]
            lost = [
                folder
                for folder in map(os.path.normpath, folders)
                if folder.startswith(tuple(site + os.sep for site in site_folders))
                and not os.path.isdir(folder)
            ]
            if not lost or os.path.basename(name) in brought:
                continue
            if not any(os.path.exists(os.path.join(place, name)) for place in [*folders, *places]):
                result.append({"name": name, "needed_by": path, "folder": lost[0]})
    return result


def closure(starts: list[str], known: dict[str, str]) -> set[str]:
    """The libraries that are loaded with these, by real path.

    ``known`` gives the paths of libraries by file name, where their folders do not tell.
    """
    seen: set[str] = set()
    waiting = list(starts)
    while waiting:
        path = os.path.realpath(waiting.pop())
        if path in seen:
            continue
        seen.add(path)
        described = describe(path)
        for name in described["needed"] if described else ():
            base = os.path.basename(name)
            places = [os.path.join(folder, base) for folder in described["folders"]]  # type: ignore[index]
            found = next((place for place in places if os.path.exists(place)), None)
            found = found or known.get(base)
            if found:
                waiting.append(found)
    return seen
