"""Raw httpx and our own ways to ask, over the bench's server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from molt_magic.bench.server import ANSWER
from molt_magic.catalog import Catalog
from molt_magic.config import Settings, load_settings
from molt_magic.errors import InputError
from molt_magic.orchestrator import Orchestrator
from molt_magic.result import Result

KEY = "bench"  # sent as everybody sends a key; the server does not look
MODEL, STRONG = "bench", "bench-strong"
PRICE, STRONG_PRICE = 0.2, 3.0  # USD per million tokens of a prompt; those of an answer cost five times as much
STRATEGIES = ("direct", "rule", "semantic", "arbitrage", "cascade")
TASK = "simple_qa"

Ask = Callable[[str], str]
Fly = Callable[[Sequence[str]], Awaitable[None]]


def body(prompt: str, *, stream: bool = False) -> dict[str, Any]:
    """A request as every contender puts it on the wire."""
    asked: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
    return {**asked, "stream": True, "stream_options": {"include_usage": True}} if stream else asked


def checked(text: object) -> str:
    """The answer, if it is the server's. Raises InputError: what does not answer is not to be called fast."""
    if text != ANSWER:
        raise InputError(f"The bench's server was asked and something else came back: {str(text)[:60]!r}.")
    return ANSWER


@contextmanager
def raw(url: str) -> Iterator[dict[str, Ask]]:
    """httpx alone: a POST, whole and streamed, and the text out of the answer."""
    with httpx.Client(headers={"authorization": f"Bearer {KEY}"}, trust_env=False, timeout=60) as client:
        address = f"{url}/chat/completions"

        def whole(prompt: str) -> str:
            answer = client.post(address, json=body(prompt))
            return checked(answer.json()["choices"][0]["message"]["content"])

        def streamed(prompt: str) -> str:
            parts = []
            with client.stream("POST", address, json=body(prompt, stream=True)) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        for choice in json.loads(line[6:])["choices"]:
                            parts.append(choice["delta"].get("content") or "")
            return checked("".join(parts))

        yield {"whole": whole, "streamed": streamed}


@asynccontextmanager
async def raw_flight(url: str, at_once: int) -> AsyncIterator[Fly]:
    """httpx.AsyncClient alone, with as many connections kept alive as calls are in flight."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60, limits=limits) as client:

        async def ask(prompt: str) -> str:
            answer = await client.post(f"{url}/chat/completions", json=body(prompt))
            return checked(answer.json()["choices"][0]["message"]["content"])

        yield in_flight(ask, at_once)


def in_flight(ask: Callable[[str], Awaitable[str]], at_once: int) -> Fly:
    """Asks many questions, `at_once` of them at any time."""

    async def fly(prompts: Sequence[str]) -> None:
        waiting = iter(prompts)

        async def one_after_another() -> None:
            for prompt in waiting:
                await ask(prompt)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(one_after_another())

    return fly


def settings(url: str, home: Path) -> Settings:
    """Settings of a user with everything on: the shipped catalog, two more models on the bench's server, log and cache.

    They come from a file of the bench's own in an empty environment, so that neither the user's settings nor any key matters.
    """
    home.mkdir(parents=True)
    models = (
        f'[models.{name}]\nprovider = "openai"\nmodel = "{name}"\nbase_url = "{url}"\napi_key_env = "BENCH_API_KEY"\n'
        f"input_usd_per_mtok = {price}\noutput_usd_per_mtok = {5 * price}\ncontext_window = 128000\nprior_quality = {quality}\n"
        for name, price, quality in ((MODEL, PRICE, 0.9), (STRONG, STRONG_PRICE, 0.95))
    )
    routes = (f'[routes.{task}]\nprimary = "{MODEL}"\nfallback = "{STRONG}"\n' for task in Catalog.load().routes)
    rest = f'[cascade]\nladder = ["{MODEL}", "{STRONG}"]\n[defaults]\nmodel = "{MODEL}"\n[cache]\nttl_seconds = 86400\n'
    file = home / "molt.toml"
    file.write_text("\n".join([*models, *routes, rest]), encoding="utf-8")
    return load_settings(file, environ={"MOLT_HOME": str(home), "BENCH_API_KEY": KEY}, cwd=home)


class Ours:
    """An orchestrator of its own for every way to ask, so that none answers from another's cache.

    Args:
        url: of the bench's server.
        home: an empty folder for all their state.
    """

    def __init__(self, url: str, home: Path) -> None:
        self._url = url
        self._home = home
        self._made: dict[str, Orchestrator] = {}

    def orchestrator(self, name: str) -> Orchestrator:
        """The one of this name, made at first."""
        if name not in self._made:
            self._made[name] = Orchestrator(settings=settings(self._url, self._home / name))
        return self._made[name]

    def routed(self, strategy: str, *, stream: bool = False, cache: bool = True) -> Ask:
        """A question that is not in the cache, by a strategy: decided, asked, logged, stored.

        Args:
            cache: whether it is looked for in the cache, and stored.
        """
        orch = self.orchestrator(f"{strategy}-{'streamed' if stream else 'whole'}{'' if cache else '-uncached'}")
        options = {**options_of(strategy, stream=stream), "cache": cache}
        return lambda prompt: bought(orch.route(prompt, **options))

    def remembered(self, strategy: str = "direct") -> Ask:
        """A question that is in the cache as it is; it must have been asked once by `routed` of this strategy."""
        orch = self.orchestrator(f"{strategy}-whole")
        options = options_of(strategy, stream=False)

        def ask(prompt: str) -> str:
            result = orch.route(prompt, **options)
            if result.decision.cache != "exact":
                raise InputError("A question that had been asked was not answered from the cache.")
            return checked(result.text)

        return ask

    def flight(self, at_once: int) -> Fly:
        """Questions through `aroute`, by strategy direct."""
        orch = self.orchestrator("flight")
        options = options_of("direct", stream=False)

        async def ask(prompt: str) -> str:
            return bought(await orch.aroute(prompt, **options))

        return in_flight(ask, at_once)

    def column(self, at_once: int) -> Fly:
        """Questions as a column, through `map`, by strategy direct."""
        orch = self.orchestrator("column")
        options = options_of("direct", stream=False)

        async def fly(prompts: Sequence[str]) -> None:
            frame = await asyncio.to_thread(lambda: orch.map(list(prompts), concurrency=at_once, **options))
            if list(frame["text"]) != [ANSWER] * len(prompts) or set(frame["cache"]) != {"miss"}:
                raise InputError("A column of new questions was not asked for as such.")

        return fly

    def close(self) -> None:
        for orch in self._made.values():
            orch.close()
        self._made.clear()


def options_of(strategy: str, *, stream: bool) -> dict[str, Any]:
    """How a strategy is asked."""
    options: dict[str, Any] = {"strategy": strategy} if stream else {"strategy": strategy, "stream": False}
    if strategy == "direct":
        options["model"] = MODEL
    if strategy == "rule":
        options["task"] = TASK
    return options


def bought(result: Result) -> str:
    """The answer, if it was really asked for."""
    if result.cached:
        raise InputError("A new question was answered from the cache.")
    return checked(result.text)
