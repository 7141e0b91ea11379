"""The policy that a what-if asks about: its strategy, its threshold, its checks, and what it is called."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from molt_magic.errors import InputError, UnknownName
from molt_magic.evaluation.logged import Logged
from molt_magic.orchestrator.asked import DEFAULT_CHECKS
from molt_magic.orchestrator.parts import Parts
from molt_magic.strategies import NAMES, Arbitrage, Cascade, Rule, Semantic
from molt_magic.types import Strategy, TaskGuess

# what can be said of each strategy; the first of them says which one is meant
_TAKES = {"direct": ("model",), "cascade": ("ladder", "price"), "arbitrage": ("quality", "within", "price")}


@dataclass(frozen=True, slots=True)
class Instead:
    """A policy to take decisions again by."""

    name: str  # in words
    strategy: Strategy
    quality: float | None  # its threshold; None: what was in force for each decision
    model: str | None  # that every question names
    names: tuple[str, ...]  # models that were named: they can be asked even where they were no candidate
    checks: tuple[str, ...]  # where a decision had none

    @property
    def climbs(self) -> bool:
        """Whether it is made to ask several models a question, so that the first answer is not what it is worth."""
        return isinstance(self.strategy, Cascade)

    def check_names(self, known: Collection[str]) -> None:
        """Raises UnknownName for a model that is neither in the catalog nor known to have answered anything."""
        for name in self.names:
            if name not in known:
                raise UnknownName("model", name, known)

    def remember(self, decisions: Sequence[Logged]) -> None:
        """Let the strategy guess a prompt's task as it was guessed when it was logged, and any other prompt's only once."""
        strategy = self.strategy
        if not isinstance(strategy, Rule | Semantic):
            return
        guessed = {
            d.prompt: TaskGuess(d.task, d.task_score)
            for d in decisions
            if d.strategy in (Rule.name, Semantic.name) and not math.isnan(d.task_score)
        }
        guess = strategy.classify

        def classify(prompt: str) -> TaskGuess:
            if prompt not in guessed:
                guessed[prompt] = guess(prompt)
            return guessed[prompt]

        strategy.classify = classify


def instead(
    parts: Parts,
    *,
    strategy: str | None,
    quality: float | None,
    model: str | None,
    within: float | None,
    price: float | None,
    ladder: Sequence[str] | None,
) -> Instead:
    """Read what was asked for; what is not said is as configured.

    Raises:
        InputError: arguments that contradict each other, or one out of range.
        UnknownName: no such strategy.
    """
    said = {"model": model, "ladder": ladder, "quality": quality, "within": within, "price": price}
    given = [what for what, value in said.items() if value is not None]
    implied = next((name for name, takes in _TAKES.items() if takes[0] in given), "arbitrage" if given else None)
    name = strategy or implied or parts.settings.defaults.strategy
    if name not in NAMES:
        raise UnknownName("strategy", name, NAMES)
    for what in given:
        if what not in _TAKES.get(name, ()):
            of = " or ".join(other for other, takes in _TAKES.items() if what in takes)
            raise InputError(f"Strategy {name} takes no {what}.", fix=f"Leave it out, or ask about {of}.")
    if quality is not None and not 0.0 <= quality <= 1.0:
        raise InputError(f"quality must be a number between 0 and 1, not {quality!r}.")
    if isinstance(ladder, str) or (ladder is not None and not ladder):
        raise InputError("A ladder is a list of model names.", fix='Like ladder=["qwen-local", "gpt-5"].')
    if name == "arbitrage" and given:
        if quality is not None and len(given) > 1:
            raise InputError(f"Arbitrage goes by quality or by {given[1]}, not by both.", fix="Give one of them.")
        told = f"arbitrage, {given[0]} {said[given[0]]:g}"
        return Instead(told, Arbitrage(within=within, price=price), quality, None, (), ())
    made = parts.strategy(name)
    if isinstance(made, Cascade):
        if ladder is not None or price is not None:
            made = Cascade(ladder=tuple(ladder or made.ladder), price=made.price if price is None else price)
        told = f"cascade {' > '.join(made.ladder)}" + (f", price {price:g}" if price is not None else "")
        return Instead(told, made, None, None, tuple(ladder or ()), DEFAULT_CHECKS)
    if name == "direct":
        told = f"direct, {model or parts.settings.defaults.model or 'the strongest model'}"
        return Instead(told, made, None, model, () if model is None else (model,), ())
    return Instead(name, made, None, None, (), ())
