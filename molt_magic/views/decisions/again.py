"""A decision as Python that asks the same again."""

from __future__ import annotations

from molt_magic.types import Decision

_LONG = 4000  # characters of a prompt that code can still be read with

_NOT_LOGGED = "# not logged, so to be added where there were any: the system message, the conversation, parameters and checks"


def code(decision: Decision) -> str:
    """Python that asks a logged question again, its prompt a literal that cannot be anything but text.

    A prompt that is very long is taken from the log, one that was not logged has to be filled in.
    """
    options = [f"strategy={decision.strategy!r}"]
    if decision.strategy == "direct" and decision.model is not None:
        options = [f"model={decision.model!r}"]
    if decision.task is not None and decision.task_score is None:  # without a score nobody guessed it: it was given
        options.append(f"task={decision.task!r}")
    if decision.quality_threshold is not None and decision.strategy == "arbitrage":
        options.append(f"quality={decision.quality_threshold!r}")
    lines = [
        "from molt_magic import current",
        "",
        "orch = current()  # the notebook's own; elsewhere: Orchestrator()",
        _NOT_LOGGED,
        "result = orch.route(",
        *(f"    {line}" for line in _prompt(decision)),
        *(f"    {option}," for option in options),
        ")",
    ]
    return "\n".join(lines) + "\n"


def _prompt(decision: Decision) -> list[str]:
    """The argument, a line a line of the prompt."""
    if decision.prompt is None:
        return ['"...",  # the prompt was not logged']
    if len(decision.prompt) > _LONG:
        return [f"orch.log.get({decision.decision_id!r}).prompt,"]
    # repr escapes quotes, control characters and what turns the direction of text around
    parts = [repr(line) for line in decision.prompt.splitlines(keepends=True)] or ["''"]
    return [*parts[:-1], f"{parts[-1]},"]
