r"""Names of files that are no UTF-8, and how everybody writes them: each such byte as ``\xff``.

Python keeps such bytes as surrogates, which no document takes. The probe, which has to do without
the doctor's modules, writes them in the same way.
"""

from __future__ import annotations


def shown(text: str) -> str:
    r"""A text that any document takes: ``caf\xe9`` for what Python has as ``caf\udce9``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            data = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half a letter of UTF-16, from somebody's JSON
            data = text.encode("utf-8", "surrogatepass")
        return data.decode("utf-8", "backslashreplace")
    return text


def document(value: object) -> object:
    """A JSON value with all its texts so."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {document(key): document(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [document(item) for item in value]
    return value
