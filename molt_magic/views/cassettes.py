"""How a cassette stands, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molt_magic.orchestrator import Orchestrator


def state(orch: Orchestrator) -> str:
    """In one or two sentences. Raises StoreError where the cassette cannot be read."""
    settings, found = orch.settings, orch.cassette
    named = settings.cassette.file
    forced = f" MOLT_CASSETTE={settings.tape_mode} decides, whatever a notebook says." if settings.tape_mode else ""
    if found is None:
        what = f"Off: models are asked; {named} is neither read nor written." if named else "No cassette: models are asked."
        return what + forced
    count = "1 answer" if found.answers == 1 else f"{found.answers} answers"
    answers = f"{count} of {', '.join(found.models)}" if found.answers else "nothing yet"
    if found.mode == "replay":
        told = f"Replaying {named or found.file.name}: no model is asked, nothing is paid. It holds {answers}"
    else:
        told = f"Recording on {named or found.file.name}: what models answer is written there. It holds {answers}"
    used = f"; {found.used} {'was' if found.used == 1 else 'were'} used since it was put in." if found.answers else "."
    return told + used + forced
