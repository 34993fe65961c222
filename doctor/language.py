"""In which language the doctor speaks."""

from __future__ import annotations


def text(english: str) -> str:
    """A text of the doctor's in the language of its user."""
    return english


def counted(number: int, one: str, many: str) -> str:
    """The English text for a number of things: ``one`` or ``many``, each with a ``{}`` for it."""
    return (one if number == 1 else many).format(number)


def current() -> str:
    """The language of the user, as BCP 47 has it."""
    return "en"
