"""Who could answer: every model of the catalog, with its expected cost and predicted quality, or with why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from molt_magic import catalog, tokens
from molt_magic.quality import QualityModel
from molt_magic.strategies.order import cost_of
from molt_magic.types import NOT_ASSESSED, Candidate, ModelSpec, Predicted, Predictions, Request

DEFAULT_ANSWER_TOKENS = 512  # kept free in a window for the answer when the request sets no limit
FAIR_QUALITY = 0.3  # a model below this neither judges nor summarises while a better one is there


def answer_limit(request_params: Mapping[str, object]) -> int | None:
    """The answer's limit in tokens as the request sets it, under either of OpenAI's names."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = request_params.get(name)
        if isinstance(value, int):
            return value
    return None


def window_of(spec: ModelSpec, cap: int | None) -> int | None:
    """The model's window in tokens, under the configured cap; None: unknown and uncapped."""
    if spec.context_window is None:
        return cap
    return spec.context_window if cap is None else min(spec.context_window, cap)


def answer_share(params: Mapping[str, object], window: int | None) -> int:
    """Tokens kept free for the answer: its limit, at most half of the window."""
    wanted = answer_limit(params) or DEFAULT_ANSWER_TOKENS
    return wanted if window is None else min(wanted, window // 2)


def assess(
    specs: Mapping[str, ModelSpec],
    request: Request,
    *,
    unavailable: Sequence[str | None],
    quality: QualityModel,
    predict: Callable[[Sequence[ModelSpec]], Sequence[Predicted]],
    window_cap: int | None,
    fits_whole: bool,
    too_dear: Callable[[ModelSpec, int, int], str | None] | None,
) -> tuple[Candidate, ...]:
    """Candidates for a request, in the catalog's order. Those that cannot answer it are told with why, and not assessed.

    Args:
        specs: the catalog's models.
        request: what is asked.
        unavailable: of each model why it cannot be reached (no key, no weights, cooling down), or None.
        quality: knows how long answers are, and whether any was marked.
        predict: the quality of some models' answers to it, asked when somebody looks at that; it must not raise.
        window_cap: configured cap on every window, tokens.
        fits_whole: whether the messages must fit as they are (the context manager is off).
        too_dear: why a model is not asked for what it may cost, given the tokens of the messages and those that its answer is
            expected to have; None: there is no limit.
    """
    prompt, needs, limit, known = request.prompt, request.needs, answer_limit(request.params), _known(specs)
    able = [each for each, why in zip(known.models, unavailable, strict=True) if why is None]
    counts = tokens.count_messages_for(request.messages, {family for _, family, _ in able})
    unfit: dict[str, str] = {}
    if needs or fits_whole:
        for spec, family, _ in able:
            if (why := _unfit(spec, request, needs, counts[family], window_cap, fits_whole)) is not None:
                unfit[spec.name] = why
        able = [each for each in able if each[0].name not in unfit]
    outputs = quality.expected_tokens_each([spec.name for spec, _, _ in able], request.task, prompt, limit)
    predictions = Predictions(lambda: predict([spec for spec, _, _ in able]), untried=not quality.knows_anything())
    found = {}
    for place, ((spec, family, rates), output) in enumerate(zip(able, outputs, strict=True)):
        count = counts[family]
        skipped = None if too_dear is None else too_dear(spec, count, output)
        cost = catalog.at_rates(rates, spec, count, output)
        found[spec.name] = Candidate.among(predictions, place, spec, cost, skipped)
    whys = zip(specs.values(), unavailable, strict=True)
    return tuple([found.get(spec.name) or known.unable(spec, why or unfit[spec.name]) for spec, why in whys])


class _Known(NamedTuple):
    """What is known of a catalog's models before anything is asked."""

    models: tuple[tuple[ModelSpec, str, catalog.Rates | None], ...]  # with the family and the rates of each
    out: dict[str, Candidate]  # those that could not answer the last time, by name

    def unable(self, spec: ModelSpec, why: str) -> Candidate:
        """A model that cannot answer: for the same reason as the last time, as a rule."""
        last = self.out.get(spec.name)
        if last is None or last.skipped != why:
            last = self.out[spec.name] = Candidate(
                spec, predicted_quality=spec.prior_quality, evidence=NOT_ASSESSED, skipped=why, reachable=False
            )
        return last


_last: tuple[Mapping[str, ModelSpec], int, _Known] | None = None  # of which catalog, and in which hour


def _known(specs: Mapping[str, ModelSpec]) -> _Known:
    global _last
    hour, last = catalog.this_hour(), _last
    if last is None or last[0] is not specs or last[1] != hour:
        models = tuple((spec, spec.family, catalog.rates_of(spec, hour)) for spec in specs.values())
        last = _last = specs, hour, _Known(models, {})
    return last[2]


def _unfit(
    spec: ModelSpec, request: Request, needs: frozenset[str], count: int, window_cap: int | None, fits_whole: bool
) -> str | None:
    lacks = needs - spec.can
    if lacks:
        return f"cannot take {', '.join(sorted(lacks))}"
    window = window_of(spec, window_cap)
    if window is not None and fits_whole:
        room = window - answer_share(request.params, window)
        if count > room:
            return f"{count:,} tokens do not fit its {window:,} (less {window - room:,} for the answer)"
    return None


def helper_model(candidates: Sequence[Candidate]) -> str | None:
    """The model that judges or summarises where none is configured: the cheapest of fair quality, else the best.

    None where no model is eligible.
    """
    eligible = [c for c in candidates if c.skipped is None]
    if not eligible:
        return None
    fair = [c for c in eligible if c.spec.prior_quality >= FAIR_QUALITY]
    return (min(fair, key=cost_of) if fair else max(eligible, key=lambda c: c.spec.prior_quality)).name
