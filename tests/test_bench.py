"""`molt bench`: a small run from end to end, and what it makes of its rounds. No timing is asserted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import count, islice
from pathlib import Path

import httpx
import pytest

from molt_magic.bench import Figure, Row, Target, peers, server
from molt_magic.bench.questions import questions
from molt_magic.bench.rounds import interleaved
from molt_magic.bench.run import shares, uncached
from molt_magic.cache import guard, plain
from molt_magic.cli import main
from molt_magic.embed import StaticEmbedder

STRATEGIES = ("direct", "rule", "semantic", "arbitrage", "cascade")
PEERS = {"openai SDK", "litellm.completion", "litellm.Router", "semantic-router", "semantic-router + litellm.Router"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict]:
    """The rows of a small run with everything in it, by group and name."""
    folder = tmp_path_factory.mktemp("bench")
    words = ["bench", "--quick", "--peers", "--rounds", "2", "--calls", "60", "--starts", "1", "--entries", "30,60"]
    done = subprocess.run(
        [sys.executable, "-m", "molt_magic", *words, "--json", "found.json"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=300,
        env={**os.environ, "TMPDIR": str(folder), "OPENAI_API_KEY": "canary", "MOLT_STRATEGY": "rule", "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "found.json").read_text())
    assert not list(folder.glob("molt-bench-*"))  # its own folder is gone
    assert found["machine"]["cpus"] >= 1
    assert found["sizes"]["entries"] == [30, 60]
    assert all(row["name"] in done.stdout for row in found["rows"])
    return {(row["group"], row["name"]): row for row in found["rows"]}


def test_every_row_is_there_and_every_figure_makes_sense(rows: dict[tuple[str, str], dict]) -> None:
    wanted = {
        *(("a call, whole", f"route, {strategy}{cache}") for strategy in STRATEGIES for cache in ("", ", no cache")),
        *(("a call, streamed", name) for name in ("raw httpx", "route, direct")),
        *(("without a model", name) for name in ("routed exact hit", "a decision logged")),
        *(("60 calls at 50 in flight", name) for name in ("raw httpx.AsyncClient", "aroute, direct", "map, direct")),
        *(("rate as a share of raw httpx's", name) for name in ("aroute, direct", "map, direct")),
        *(("import", name) for name in ("import molt_magic", "%load_ext molt_magic")),
        *((f"cache of {size} answers", "exact hit, from disk") for size in (30, 60)),
        ("a decision, its vector given", "strategy semantic"),
        ("a call, whole", "raw httpx"),
    }
    assert wanted <= set(rows)
    for (_, name), row in rows.items():
        if row["figure"] is None:
            assert "not installed" in row["note"]
            continue
        first, third = row["figure"]["quartiles"]
        if row["group"] != "overhead as a share of":  # between differences, which noise may turn around
            assert 0 < first <= row["figure"]["median"] <= third
        assert row["target"] is None or row["target"]["met"] in (True, False)
        if name.startswith("route, ") and row["group"].startswith("a call"):
            assert len(row["over"]["rounds"]) == len(row["cpu"]["rounds"]) == 2


def test_every_peer_has_a_row_and_one_that_is_not_installed_says_so(rows: dict[tuple[str, str], dict]) -> None:
    named = {name: row for (_, name), row in rows.items() if name in PEERS}
    assert set(named) == PEERS
    for row in named.values():
        assert row["figure"] is not None or "pip install" in row["note"]


def test_every_strategy_is_judged_by_both_peers_and_semantic_by_those_that_do_the_same_too() -> None:
    ours = {f"route, {strategy}": Figure((1.0 + number,)) for number, strategy in enumerate(STRATEGIES, 1)}
    ours |= {uncached(strategy): Figure((0.5 + number,)) for number, strategy in enumerate(STRATEGIES, 1)}
    others = {"litellm.completion": 19.0, "litellm.Router": 21.0, "semantic-router + litellm.Router": 61.0, "openai SDK": 5.0}
    found = {"raw httpx": Figure((1.0,)), **ours, **{name: Figure((took,)) for name, took in others.items()}}
    judged = {row.name: row for row in shares(found)}
    added = {name: figure.median - 1.0 for name, figure in ours.items()}
    assert {name: row.figure.median for name, row in judged.items() if row.figure is not None} == {
        **{f"litellm.Router's: {name}": own / 20 for name, own in added.items()},
        **{f"semantic-router + litellm.Router's: {name}": own / 60 for name, own in added.items() if "semantic" in name},
        **{f"openai SDK's: {name}": own / 4 for name, own in added.items()},
    }
    assert {name for name, row in judged.items() if row.target is not None and not row.target.met(row)} == {
        *(f"litellm.Router's: {each}" for strategy in STRATEGIES[2:] for each in (f"route, {strategy}", uncached(strategy))),
        *(f"openai SDK's: {each}" for each in ("route, cascade", uncached("cascade"))),
    }
    assert all(row.target is not None for row in judged.values())
    assert list(shares({name: found[name] for name in ("raw httpx", *ours)})) == []


@pytest.mark.skipif(not peers.installed("semantic_router", "litellm"), reason=f"others, not needed: {peers.INSTALL}")
def test_litellm_is_asked_for_the_model_group_that_semantic_router_decides_on() -> None:
    asked: list[str] = []
    prompts = [question.text for question in islice(questions(1), 40)]
    with peers.quiet(), server.running() as url:
        ask = peers.LiteLLM(url).behind_semantic_router()
        import litellm

        litellm.success_callback = [lambda call, *_: asked.append(call["litellm_params"]["metadata"]["model_group"])]
        try:
            assert {ask(prompt) for prompt in prompts} == {server.ANSWER}
            deadline = time.monotonic() + 10
            while len(asked) < len(prompts) and time.monotonic() < deadline:  # it is told by another thread
                time.sleep(0.01)
        finally:
            litellm.success_callback = []
        decide = peers.semantic_router(StaticEmbedder())
        decided = Counter(decide(prompt).name for prompt in prompts)
    assert Counter(asked) == decided
    assert len(decided) > 2


def test_hits_are_counted_and_the_second_embedder_is_reached(rows: dict[tuple[str, str], dict]) -> None:
    counts = {name: row["counts"] for (group, name), row in rows.items() if group == "cache of 60 answers"}
    hits = {name: found["hits"] / found["asked"] for name, found in counts.items()}
    assert hits == {
        "exact hit, from disk": 1,
        "semantic hit, unverified": 1,
        "semantic hit, verified": 1,
        "semantic lookup in vain": 0,
    }
    verified = counts["semantic hit, verified"]
    assert verified["embedded"] >= verified["asked"]


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_interrupt_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "molt_magic", "bench", "--json", str(tmp_path / "found.json")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as bench:
        assert bench.stderr is not None
        assert "one call at a time" in bench.stderr.readline()
        time.sleep(0.3)
        bench.send_signal(signal.SIGINT)
        assert bench.wait(60) == 130
        assert bench.stderr.read().endswith("molt: interrupted\n")
    assert not list(tmp_path.glob("molt-bench-*"))


def test_difference_is_taken_within_the_round() -> None:
    """What slows a round down slows both sides: a machine that gets five times slower changes no difference."""
    raw, ours = Figure((1.0, 5.0, 2.0, 1.0)), Figure((1.5, 5.5, 2.5, 1.5))
    assert ours.over(raw).rounds == (0.5, 0.5, 0.5, 0.5)
    assert ours.over(raw).quartiles == (0.5, 0.5)
    assert Figure((2.0, 30.0)).share_of(Figure((4.0, 60.0))) == Figure((0.5, 0.5))


def test_share_of_what_is_not_above_nothing_is_left_out() -> None:
    assert Figure((1.0, 1.0)).share_of(Figure((-1.0, 2.0))) == Figure((0.5,))
    assert Figure((1.0,)).share_of(Figure((0.0,))) is None


def test_quartiles_of_one_round_are_that_round() -> None:
    assert Figure((3.0,)).quartiles == (3.0, 3.0)
    assert Figure((1.0, 2.0, 3.0, 4.0, 5.0)).quartiles == (2.0, 4.0)


def test_contenders_get_the_same_questions_in_changing_order_and_as_many_rounds() -> None:
    asked: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    order: list[str] = []

    def contender(name: str):
        def call(question: int) -> None:
            asked[name].append(question)
            if order[-1:] != [name]:
                order.append(name)

        return call

    names = {name: contender(name) for name in asked}
    found = interleaved(names, count(), rounds=6, block=3, rng=random.Random(1))
    assert asked["a"] == asked["b"] == asked["c"] == list(range(28))  # a round to warm up, and one call before each block
    assert {name: len(took.figure.rounds) for name, took in found.items()} == {"a": 6, "b": 6, "c": 6}
    assert "".join(order) != "abc" * 7


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(2.0), True),
        (Target(0.5), False),
        (Target(0.5, at_least=True), True),
        (Target(0.1, "over"), False),
        (Target(0.3, "over"), True),
    ],
)
def test_target_is_about_the_median_or_about_the_difference(target: Target, met: bool) -> None:
    assert target.met(Row("group", "name", Figure((1.0,)), over=Figure((0.2,)))) is met
    assert target.met(Row("group", "name", None)) is None


def test_questions_differ_and_their_other_wordings_mean_the_same() -> None:
    some = list(islice(questions(3), 200))
    assert len({question.text for question in some}) == 200
    for question in some:
        assert guard.refusal(question.otherwise, question.text, verified=True) is None
        assert plain.core(question.otherwise) != plain.core(question.text)  # so that the second embedder is asked


def test_server_keeps_a_connection_and_answers_whole_and_streamed() -> None:
    with server.running() as url, httpx.Client() as client:
        whole = client.post(f"{url}/chat/completions", json={"stream": False})
        streamed = client.post(f"{url}/chat/completions", json={"stream": True})
        lines = [line.removeprefix("data: ") for line in streamed.text.split("\n\n") if line]
        assert whole.json()["choices"][0]["message"]["content"] == server.ANSWER
        assert lines[-1] == "[DONE]"
        choices = [choice for line in lines[:-1] for choice in json.loads(line)["choices"]]
        assert "".join(choice["delta"].get("content", "") for choice in choices) == server.ANSWER
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{url}/chat/completions", json={})


def test_part_that_does_not_exist_is_refused_before_anything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "calls,flight"]) == 1
    assert "Did you mean 'flights'" in capsys.readouterr().err


def test_number_that_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--rounds", "0"], ["--entries", "10,x"]):
        with pytest.raises(SystemExit) as ended:
            main(["bench", *words])
        assert ended.value.code == 2
    assert "is no whole number above 0" in capsys.readouterr().err
