"""`%route cassette`: record answers beside the notebook, or answer from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molt_magic.errors import InputError, UnknownName
from molt_magic.magics.commands.base import Command, Namespace
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
    return Page((_state(session),))


def _state(session: RouteMagics) -> str:
    settings = session.orchestrator.settings
    state = session.orchestrator.cassette
    named = settings.cassette.file
    forced = f" MOLT_CASSETTE={settings.tape_mode} decides, whatever a notebook says." if settings.tape_mode else ""
    if state is None:
        what = f"Off: models are asked; {named} is neither read nor written." if named else "No cassette: models are asked."
        return what + forced
    count = "1 answer" if state.answers == 1 else f"{state.answers} answers"
    answers = f"{count} of {', '.join(state.models)}" if state.answers else "nothing yet"
    if state.mode == "replay":
        told = f"Replaying {named or state.file.name}: no model is asked, nothing is paid. It holds {answers}"
    else:
        told = f"Recording on {named or state.file.name}: what models answer is written there. It holds {answers}"
    used = f"; {state.used} {'was' if state.used == 1 else 'were'} used since it was put in." if state.answers else "."
    return told + used + forced


COMMANDS = {
    "cassette": Command(
        _cassette,
        "[record, replay or off [FILE]; status]",
        "keep answers in a file, or answer from it",
        2,
        values=WORDS,
    )
}
