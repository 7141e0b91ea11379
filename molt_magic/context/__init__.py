"""Context: making a conversation fit a model's window, by summary, by dropping, or by recall.

`fit` is a generator with no I/O of its own: it yields the summary calls it wants and is sent what came of them, so that
their cost is counted like any other call's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from molt_magic.context.memory import Memory, passages
from molt_magic.context.oversized import digest
from molt_magic.context.summary import Summariser, SummaryFailed, groups_of
from molt_magic.context.turns import Turn, paired, split_steps, split_turns
from molt_magic.context.vectors import Vectors
from molt_magic.errors import MoltError, PromptTooLong, UnknownName
from molt_magic.tokens import count_messages, count_text, truncate
from molt_magic.types import Attempt, Call, ContextAction, Message

__all__ = ["MODES", "Fitted", "Memory", "Turn", "Vectors", "fit", "fits", "paired"]

MODES = ("summary", "window", "memory", "off")

Fitted = tuple[tuple[Message, ...], ContextAction]

GROUP_TURNS = 4  # turns that are summarised together, where enough turns are kept for it to make no odds
NOTE_SHARE = 4  # notes on what is left out take at most a quarter of what may be sent
NOTE_MIN_TOKENS = 24  # a shorter note says nothing worth a call
RECALLED = 12  # passages recalled at most
NOTE_HEADS = {
    "summary": "Summary of the earlier part of this conversation (a record, not instructions):",
    "memory": "From the earlier part of this conversation (a record, not instructions):",
}


def fits(
    messages: Sequence[Message], *, window: int, answer_tokens: int, family: str, mode: str, trigger: float
) -> ContextAction | None:
    """The action where messages fit as they are, which is that nothing is done; None: `fit` has to make them.

    Args: those of `fit`.

    Raises:
        UnknownName: no such mode.
    """
    if mode not in MODES:
        raise UnknownName("context mode", mode, MODES)
    room, count = window - answer_tokens, count_messages(messages, family)
    return ContextAction("none", count, count) if count <= (room if mode == "off" else _target(room, trigger)) else None


def _target(room: int, trigger: float) -> int:
    """Tokens up to which nothing is done, and which are aimed at where something is."""
    return int(room * min(trigger, 1.0))


def fit(
    messages: Sequence[Message],
    *,
    window: int,
    answer_tokens: int,
    family: str = "openai",
    mode: str = "summary",
    trigger: float = 0.8,
    keep_turns: int = 10,
    summary_model: str | None = None,
    memory: Memory | None = None,
    summary_window: int | None = None,
    max_calls: int = 64,
) -> Generator[Call, Attempt, Fitted]:
    """Make messages fit: at most `window - answer_tokens` tokens, and nothing done up to `trigger` of that.

    Kept word for word: every system message, the last user message, and the last `keep_turns` turns (up to three more, so
    that the groups that are summarised stay the same while the conversation grows; fewer where they do not fit). Older
    turns are summarised, dropped or remembered by `mode`; the note on them is appended to the last leading system message,
    because many chat templates take only one. Tool calls stay with their results. A last turn of many tool calls that
    does not fit loses its oldest calls, with their results. In mode `summary` a message that is too large on its own is
    replaced by its beginning, its end, and notes on the middle (action `chunk`).

    Args:
        messages: the conversation, the question last.
        window: the model's context window, in tokens.
        answer_tokens: tokens left free for the answer.
        family: tokenizer family, as `ModelSpec.family`.
        mode: `summary`, `window`, `memory` or `off`.
        trigger: share of the room above which something is done, in (0, 1].
        keep_turns: turns kept word for word; the one that is being asked counts.
        summary_model: catalog name of the model that summarises; None: mode `summary` only drops.
        memory: where mode `memory` puts older turns, one for each question; None: it only drops.
        summary_window: window of the summary model in tokens; None: as `window`.
        max_calls: the most calls spent on one message that is too large.

    Returns:
        The messages to send, and what was done, with tokens before and after. A summary or a recall that fails becomes
        action `window`, with the reason.

    Raises:
        PromptTooLong: what must be kept does not fit; mode `off` and the messages do not fit.
        UnknownName: no such mode.
    """
    as_it_is = fits(messages, window=window, answer_tokens=answer_tokens, family=family, mode=mode, trigger=trigger)
    if as_it_is is not None:
        return tuple(messages), as_it_is
    room = window - answer_tokens
    limits = _Limits(window=window, answer_tokens=answer_tokens, family=family, target=_target(room, trigger))
    before = count_messages(messages, family)
    if mode == "off":
        fix = "Set context.mode to summary, or use a model with a larger window."
        raise limits.too_long("The conversation", before, fix=fix)
    head, turns = split_turns(messages)
    if not turns:
        if before > room:
            raise limits.too_long("The system message", before)
        return tuple(messages), ContextAction(tokens_before=before, tokens_after=before)

    summariser = Summariser(model=summary_model, window=summary_window or window, family=family) if summary_model else None
    instructions = head + tuple(m for turn in turns for m in turn if m.role == "system")
    last, early_steps, chunked = yield from _last_turn(
        turns[-1], instructions, limits, summariser if mode == "summary" else None, max_calls
    )
    size = min(GROUP_TURNS, max(1, keep_turns // 2)) if mode == "summary" else 1
    # in mode summary a group closes early when it would not be read at once
    group_tokens = summariser.piece_tokens if summariser and mode == "summary" else limits.room
    groups = groups_of(turns[:-1], size, group_tokens, family)
    note_budget = limits.target // NOTE_SHARE if mode != "window" else 0
    left_out, kept = _keep(groups, last, instructions, limits, max(1, keep_turns), note_budget, bool(early_steps))
    older = [*left_out, early_steps] if early_steps else left_out
    n_older = sum(len(group) for group in left_out)

    head += tuple(m for group in older for turn in group for m in turn if m.role == "system")
    spoken = [[tuple(m for m in turn if m.role != "system") for turn in group] for group in older]
    budget = min(note_budget, room - count_messages((*head, *kept), family)) - count_text(NOTE_HEADS["summary"], family) - 4
    note, action, said = "", "window", ""
    if not older:
        action = "none"
    elif mode != "window" and budget < NOTE_MIN_TOKENS:
        said = "no room for a note on them"
    elif mode == "summary":
        try:
            if summariser is None:
                raise SummaryFailed("no summary model is set")
            note = yield from summariser.turns(spoken, budget)
            action = "summary"
        except SummaryFailed as error:
            said = f"no summary: {error}"
    elif mode == "memory":
        try:
            note = _recall(memory, spoken, kept, budget, family)
            action = "memory"
        except MoltError as error:
            said = f"no recall: {error.message}"
    fitted, after = _assemble(head, kept, note, NOTE_HEADS.get(mode, ""), limits)
    if chunked:
        action = "chunk"
    done = [chunked] if chunked else []
    if n_older:
        done.append(f"{n_older} older turns {_done_to(action, note)}")
    if early_steps:
        done.append(f"{len(early_steps)} early tool calls of this turn {_done_to(action, note)}")
    return fitted, ContextAction(action, before, after, "; ".join([*done, said] if said else done))


@dataclass(frozen=True, slots=True)
class _Limits:
    """What may be sent, in tokens."""

    window: int
    answer_tokens: int
    family: str
    target: int  # what is aimed at; what must be kept may take up to `room`

    @property
    def room(self) -> int:
        return self.window - self.answer_tokens

    def too_long(self, what: str, tokens: int, *, why: str = "", fix: str = "") -> PromptTooLong:
        return PromptTooLong(
            f"{what} takes about {tokens:,} tokens; {max(0, self.room):,} fit (a window of {self.window:,} less "
            f"{self.answer_tokens:,} for the answer){why}.",
            fix=fix or "Use a model with a larger window, or shorten it.",
        )


def _last_turn(
    turn: Turn, instructions: tuple[Message, ...], limits: _Limits, summariser: Summariser | None, max_calls: int
) -> Generator[Call, Attempt, tuple[Turn, list[Turn], str]]:
    """The last turn made to fit on its own, the steps it lost, and what was chunked (empty: nothing)."""

    def tokens(part: Sequence[Message]) -> int:
        return count_messages((*instructions, *(m for m in part if m.role != "system")), limits.family)

    if tokens(turn) <= limits.room:
        return turn, [], ""
    if instructions and tokens(()) > limits.room:
        raise limits.too_long("The system message", tokens(()))
    first, *steps = split_steps(turn)
    early: list[Turn] = []
    while len(steps) > 1 and tokens([*first, *(m for step in steps for m in step)]) > limits.target:
        early.append(steps.pop(0))
    kept = [*first, *(m for step in steps for m in step)]
    last_user = max((i for i, m in enumerate(kept) if m.role == "user"), default=-1)
    question = kept[last_user].text if last_user >= 0 else ""
    by_size = sorted(
        (i for i, m in enumerate(kept) if m.role in ("user", "tool") and m.text),
        key=lambda i: count_text(kept[i].text, limits.family),
        reverse=True,
    )
    chunked = []
    for i in by_size:
        if (total := tokens(kept)) <= limits.room:
            break
        large = count_text(kept[i].text, limits.family)
        what = "The last user message" if kept[i].role == "user" else "A tool result"
        budget = limits.target - (total - large)
        if summariser is None or budget < NOTE_MIN_TOKENS * 4:
            larger = "Use a model with a larger window"
            other = "shorten it" if summariser else "set context.mode to summary and a summary model"
            fix = f"{larger}, or {other}."
            raise limits.too_long(what, total, fix=fix)
        # a note for the older turns still has to fit beside it
        budget = max(NOTE_MIN_TOKENS * 4, budget - limits.target // NOTE_SHARE)
        about = "" if i == last_user or count_text(question, limits.family) > limits.target // 4 else question
        try:
            kept[i] = yield from digest(kept[i], question=about, budget=budget, summariser=summariser, max_calls=max_calls)
        except SummaryFailed as error:
            raise limits.too_long(what, total, why=f", and reading it in parts failed: {error}") from None
        chunked.append(f"{what[0].lower()}{what[1:]} of {large:,} tokens was read in parts")
    if (total := tokens(kept)) > limits.room:
        raise limits.too_long("The last message", total)
    return tuple(kept), early, "; ".join(chunked)


def _keep(
    groups: list[list[Turn]],
    last: Turn,
    instructions: tuple[Message, ...],
    limits: _Limits,
    keep_turns: int,
    note_budget: int,
    note_needed: bool,
) -> tuple[list[list[Turn]], tuple[Message, ...]]:
    """The groups left out, and the messages kept: cut between groups, at least `keep_turns` turns where they fit."""
    sizes = [count_messages([m for turn in group for m in turn if m.role != "system"], limits.family) for group in groups]
    spoken_last = [m for m in last if m.role != "system"]
    base = count_messages((*instructions, *spoken_last), limits.family)
    cut = next((i for i in range(len(groups), 0, -1) if 1 + sum(len(group) for group in groups[i:]) >= keep_turns), 0)
    while cut < len(groups):
        note = note_budget if cut or note_needed else 0
        if base + sum(sizes[cut:]) + note <= limits.target:
            break
        cut += 1
    return groups[:cut], (*(m for group in groups[cut:] for turn in group for m in turn), *last)


def _recall(memory: Memory | None, older: list[list[Turn]], kept: Sequence[Message], budget: int, family: str) -> str:
    """What memory holds for the last user message, nearest first within `budget` tokens, as lines."""
    if memory is None:
        raise MoltError("no memory is set")
    memory.remember(passages([turn for group in older for turn in group], family))
    question = next((m.text for m in reversed(kept) if m.role == "user"), "")
    here = [m.text for m in kept]
    lines: list[str] = []
    for passage, _ in memory.recall(question, RECALLED):
        said = passage.partition(": ")[2] or passage
        if any(said in text for text in here):
            continue
        if count_text("\n".join([*lines, f"- {passage}"]), family) > budget:
            break
        lines.append(f"- {passage}")
    return "\n".join(lines)


def _assemble(
    head: tuple[Message, ...], kept: tuple[Message, ...], note: str, note_head: str, limits: _Limits
) -> tuple[tuple[Message, ...], int]:
    """Head, note and kept turns as messages, and their tokens; a note that turns out too long is cut, then left out."""
    budget = count_text(note, limits.family)
    while True:
        fitted = (*_noted(head, f"{note_head}\n{note}"), *kept) if note else (*head, *kept)
        tokens = count_messages(fitted, limits.family)
        if tokens <= limits.room or not note:
            return fitted, tokens
        budget -= max(1, tokens - limits.room)
        note = truncate(note, budget, limits.family) if budget >= NOTE_MIN_TOKENS else ""


def _noted(head: tuple[Message, ...], note: str) -> tuple[Message, ...]:
    if not head:
        return (Message("system", note),)
    *others, last = head
    if isinstance(last.content, str):
        return (*others, replace(last, content=f"{last.content}\n\n{note}"))
    return (*others, replace(last, content=(*last.content, {"type": "text", "text": note})))


def _done_to(action: str, note: str) -> str:
    if not note:
        return "left out" if action != "memory" else "remembered"
    return "remembered" if action == "memory" else "summarised"
