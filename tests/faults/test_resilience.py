"""llmock, which was not written here, judges the whole orchestrator by what arrived at its server: no error, no warning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock

from molt_magic import errors
from molt_magic.orchestrator import Orchestrator
from molt_magic.result import Result

PROVIDERS = ("openai", "anthropic", "gemini")
STRATEGIES = ("rule", "semantic", "arbitrage", "cascade")

FAULTS = ("disconnect", "truncate", "corrupt", "stall")

Ask = Callable[..., Result]


@pytest.fixture(scope="module")
def made(home: Path) -> Iterator[dict[str, Orchestrator]]:
    """One orchestrator for each provider, made when it is first asked."""
    orchs: dict[str, Orchestrator] = {}
    yield orchs
    for orch in orchs.values():
        orch.close()


@pytest.fixture(params=PROVIDERS)
def ask(request: pytest.FixtureRequest, llmock: LLMock, made: dict[str, Orchestrator], home: Path) -> Ask:
    """Asks one of two models of a provider on llmock's server; the second one's window is the larger."""
    provider = request.param
    if provider not in made:
        folder = home / f"llmock-{provider}"
        folder.mkdir()
        tables = "".join(
            f'[models.{name}]\nprovider = "{provider}"\nmodel = "gpt-4o-{name}"\nbase_url = "{llmock.base_url(provider)}"\n'
            f'api_key_env = "FAULT_KEY"\ncontext_window = {window}\nprior_quality = {prior}\n'
            for name, window, prior in (("first", 8000, 0.9), ("second", 32_000, 0.8))
        )
        (folder / "molt.toml").write_text(
            f'[defaults]\ncatalog = "none"\nquality = 0.99\n{tables}'
            '[routes.simple_qa]\nprimary = "first"\nfallback = "second"\n[cascade]\nladder = ["first", "second"]\n'
            "[cache]\nenabled = false\n[network]\nfirst_token_s = 0.6\ntotal_s = 30\n"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MOLT_HOME", str(folder / "state"))
            made[provider] = Orchestrator.from_config(folder / "molt.toml")
    orch = made[provider]

    def ask(strategy: str, **options: Any) -> Result:
        task = {"task": "simple_qa"} if strategy == "rule" else {}
        return orch.route("What is the capital of France?", strategy=strategy, **task, **options)

    ask.gemini = provider == "gemini"  # type: ignore[attr-defined]
    return ask


# what is wrong once or for a while, and who answers in the end
PASSES: dict[str, tuple[Callable[[LLMock], Any], str]] = {
    "nothing": (lambda m: m, "first"),
    "rate limited twice": (lambda m: m.rate_limit(times=2, retry_after=0.3), "first"),
    "down for a moment": (lambda m: m.fail(503, times=2), "first"),
    "down with a time to wait": (lambda m: m.fail(529, times=1, retry_after=1.0), "first"),
    "408": (lambda m: m.fail(408), "first"),
    "500": (lambda m: m.fail(500), "first"),
    "502": (lambda m: m.fail(502), "first"),
    "504": (lambda m: m.fail(504), "first"),
    "slow": (lambda m: m.delay(0.3), "first"),
    "no first token": (lambda m: m.slow_first_token(3.0), "first"),
    "one model is down": (lambda m: m.fail(503, times=None, model="gpt-4o-first"), "second"),
    **{
        f"{status} of one model": (lambda m, status=status: m.fail(status, times=None, model="gpt-4o-first"), "second")  # type: ignore[misc]
        for status in (400, 401, 402, 403, 404, 413, 422)
    },
    "too long for one model": (lambda m: m.context_overflow(times=1), "second"),
}


@pytest.mark.parametrize("name", PASSES)
def test_the_verdict_is_clean(name: str, ask: Ask, llmock: LLMock) -> None:
    wrong, answers = PASSES[name]
    strategy = STRATEGIES[list(PASSES).index(name) % 4]
    llmock.reply("Paris.", times=None)
    wrong(llmock)
    result = ask(strategy)
    assert (result.text, result.model) == ("Paris.", answers)
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_that_breaks_before_its_text_is_asked_for_again(fault: str, ask: Ask, llmock: LLMock) -> None:
    llmock.reply("Paris is the capital of France.", times=None)
    llmock.pace(30)  # so that the server sees the client stop reading
    getattr(llmock, fault)(after_chunks=0 if ask.gemini else 1)  # type: ignore[attr-defined]  # its first chunk has text
    strategy = STRATEGIES[FAULTS.index(fault)]
    assert ask(strategy).text == "Paris is the capital of France."
    llmock.assert_resilient(strict=True)


def test_an_outage_of_everything_ends_in_an_error_after_few_tries(ask: Ask, llmock: LLMock) -> None:
    llmock.outage()
    with pytest.raises(errors.NoAnswer):
        ask("cascade")
    assert len(llmock.requests) == 6
    llmock.assert_resilient(strict=True)
