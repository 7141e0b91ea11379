"""`%route cassette`: record answers beside the notebook, or answer from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics.commands.base import Command, Namespace
from molt_magic.views import cassettes
from molt_magic.views.tables import Page

if TYPE_CHECKING:
    from molt_magic.magics.session import RouteMagics

MODES = ("record", "replay", "off")
WORDS = (*MODES, "status")


def _cassette(session: RouteMagics, rest: Sequence[str], _namespace: Namespace) -> Page:
    word, file = (rest[0] if rest else "status"), (rest[1] if len(rest) > 1 else None)
    if word not in WORDS:
        raise UnknownName("%route cassette word", word, WORDS)
    orch = session.orchestrator
    if word in MODES:
        if file is None and orch.settings.cassette.file is None and word != "off":
            raise InputError(f"%route cassette {word} needs a file.", fix=f"Write: %route cassette {word} answers.jsonl")
        orch.configure({"cassette.mode": word, **({} if file is None else {"cassette.file": file})})
    elif file is not None:
        raise InputError("%route cassette status takes no file.", fix="Write: %route cassette record FILE, or replay FILE.")
    return Page((cassettes.state(orch),))


COMMANDS = {
    "cassette": Command(
        _cassette,
        "[record, replay or off [FILE]; status]",
        "keep answers in a file, or answer from it",
        2,
        values=WORDS,
    )
}
