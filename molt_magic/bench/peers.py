"""Others' ways to do the same, where they are installed: they are imported in here, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

from molt_magic.bench.contenders import KEY, MODEL, PRICE, Ask, Fly, checked, in_flight
from molt_magic.embed import Embedder, StaticEmbedder
from molt_magic.strategies.classifier import TaskClassifier, shipped_examples

INSTALL = "pip install litellm semantic-router openai"

# what takes part must reach the bench's server and nothing else, and ask nobody for prices, headers or news
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOG": "ERROR",
    "ORT_DISABLE_TELEMETRY": "1",
    "NO_PROXY": "127.0.0.1",
}


def installed(*modules: str) -> bool:
    """Whether what a peer is made of is there to be imported."""
    return all(find_spec(module) is not None for module in modules)


@contextmanager
def quiet() -> Iterator[None]:
    """The environment as the peers are to find it; they read it when they are imported, and when they are used."""
    before = {name: os.environ.get(name) for name in _QUIET}
    os.environ.update(_QUIET)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def openai_sdk(url: str) -> Iterator[dict[str, Ask]]:
    """The openai SDK, whole and streamed."""
    import openai

    with openai.OpenAI(api_key=KEY, base_url=url) as client:

        def whole(prompt: str) -> str:
            answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])
            return checked(answer.choices[0].message.content)

        def streamed(prompt: str) -> str:
            chunks = client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": prompt}],
                stream=True,
                stream_options={"include_usage": True},
            )
            return checked("".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices))

        yield {"whole": whole, "streamed": streamed}


@asynccontextmanager
async def openai_flight(url: str, at_once: int) -> AsyncIterator[Fly]:
    """The openai SDK's asynchronous client."""
    import openai

    async with openai.AsyncOpenAI(api_key=KEY, base_url=url) as client:

        async def ask(prompt: str) -> str:
            answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])
            return checked(answer.choices[0].message.content)

        yield in_flight(ask, at_once)


class LiteLLM:
    """litellm.completion, and litellm.Router over one deployment, alone and with semantic-router before it.

    Args:
        url: of the bench's server.
    """

    def __init__(self, url: str) -> None:
        import litellm

        litellm.suppress_debug_info = True
        self._litellm: Any = litellm
        self._target = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY}
        # as ours has a price: where there is none, litellm searches all it knows at every answer for why that cost nothing
        price = {"input_cost_per_token": PRICE / 1e6, "output_cost_per_token": 5 * PRICE / 1e6}
        litellm.register_model({self._target["model"]: {**price, "litellm_provider": "openai", "mode": "chat"}})
        self._router = self._over(MODEL)

    def _over(self, *groups: str) -> Any:
        """A Router of these model groups, all on the one deployment."""
        return self._litellm.Router(model_list=[{"model_name": group, "litellm_params": self._target} for group in groups])

    def completion(self, prompt: str) -> str:
        answer = self._litellm.completion(messages=[{"role": "user", "content": prompt}], **self._target)
        return checked(answer.choices[0].message.content)

    def router(self, prompt: str) -> str:
        answer = self._router.completion(model=MODEL, messages=[{"role": "user", "content": prompt}])
        return checked(answer.choices[0].message.content)

    def behind_semantic_router(self) -> Ask:
        """litellm.Router, asked for the model group of the route that semantic-router finds: a group for every task."""
        # not by litellm's own auto router: it needs semantic-router < 1, works in acompletion alone, and takes longer
        routes = semantic_router(StaticEmbedder())
        router = self._over(*(route.name for route in routes.routes))

        def ask(prompt: str) -> str:
            answer = router.completion(model=routes(prompt).name, messages=[{"role": "user", "content": prompt}])
            return checked(answer.choices[0].message.content)

        return ask

    def completion_flight(self, at_once: int) -> Fly:
        async def ask(prompt: str) -> str:
            answer = await self._litellm.acompletion(messages=[{"role": "user", "content": prompt}], **self._target)
            return checked(answer.choices[0].message.content)

        return in_flight(ask, at_once)

    def router_flight(self, at_once: int) -> Fly:
        async def ask(prompt: str) -> str:
            answer = await self._router.acompletion(model=MODEL, messages=[{"role": "user", "content": prompt}])
            return checked(answer.choices[0].message.content)

        return in_flight(ask, at_once)


class Known:
    """The static embedder's vectors of texts it was shown before: what is timed is a decision, not an embedding."""

    id = StaticEmbedder.id
    dim = StaticEmbedder.dim

    def __init__(self) -> None:
        self._embedder = StaticEmbedder()
        self._vectors: dict[str, Any] = {}

    def embed(self, texts: Sequence[str]) -> Any:
        import numpy as np

        for text in texts:
            if text not in self._vectors:
                self._vectors[text] = self._embedder.embed([text])[0]
        return np.stack([self._vectors[text] for text in texts])


def our_decision(known: Known) -> Callable[[str], object]:
    """The task of a prompt, as strategy semantic guesses it."""
    return partial(TaskClassifier.load_shipped(known).guess, nearest=0)


def semantic_router(embedder: Embedder) -> Any:
    """semantic-router over the same examples, a route for every task; called with a prompt it finds the prompt's route."""
    from semantic_router import IndexedRouter, Route
    from semantic_router.encoders import DenseEncoder

    class Encoder(DenseEncoder):  # type: ignore[misc,unused-ignore]  # untyped where it is not installed
        def __call__(self, docs: list[Any]) -> list[list[float]]:
            vectors: list[list[float]] = embedder.embed(docs).tolist()
            return vectors

        async def acall(self, docs: list[Any]) -> list[list[float]]:
            return self(docs)

    by_task: dict[str, list[str]] = {}
    for text, task in shipped_examples():
        by_task.setdefault(task or "none", []).append(text)
    routes = [Route(name=task, utterances=texts) for task, texts in by_task.items()]
    return IndexedRouter(Encoder(name=embedder.id), routes=routes)
