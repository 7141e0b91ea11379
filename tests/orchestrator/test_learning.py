"""What a session learns: from columns of feedback, from outcome tables, from the lengths of answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from molt_magic import Orchestrator
from molt_magic.errors import InputError, UnknownName
from tests.conftest import MakeOrchestrator
from tests.test_log import a_decision

ASKED = ("What is the capital of Peru?", "What is the capital of Chad?", "What is the capital of Mali?")


def evidence(orch: Orchestrator, name: str = "small") -> str:
    plan = orch.route("What is the capital of Fiji?", strategy="arbitrage", dry_run=True)
    return next(c.evidence for c in plan.candidates if c.name == name)


def expected_tokens(orch: Orchestrator, prompt: str, model: str = "small") -> int:
    return orch.route(prompt, model=model, dry_run=True).decision.output_tokens


# -- feedback as a column


@pytest.fixture
def answered(orchestrator: MakeOrchestrator) -> tuple[Orchestrator, list[str]]:
    orch = orchestrator({"small": "Lima", "big": "Lima"})
    return orch, [orch.route(prompt, model="small").decision.decision_id for prompt in ASKED]


@pytest.mark.parametrize("kind", ["frame", "indexed frame", "series", "mapping", "thumbs"])
def test_a_column_of_feedback_counts_as_each_of_its_rows(answered: tuple[Orchestrator, list[str]], kind: str) -> None:
    orch, ids = answered
    frame = pd.DataFrame({"decision_id": ids, "score": [1.0, 0.5, 0.0], "note": "mine"})
    given: Any = {
        "frame": frame,
        "indexed frame": frame.set_index("decision_id"),
        "series": frame.set_index("decision_id")["score"],
        "mapping": dict(zip(ids, [1, np.float64(0.5), 0], strict=True)),
        "thumbs": frame.assign(score=[True, False, False]),
    }[kind]
    orch.feedback(given)
    found = orch.log.to_frame()
    assert found["quality"].tolist() == [1.0, 0.0 if kind == "thumbs" else 0.5, 0.0]
    assert set(found["quality_source"]) == {"user"}
    assert evidence(orch) == "3 near of 3 outcomes"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: f.assign(decision_id=[*f["decision_id"][:2], "nope"]), "1 of 3 decisions are not in the log: nope"),
        (lambda f: f.assign(decision_id=[None, 7, f["decision_id"][0]]), "2 of 3 decisions are not in the log: None, 7"),
        (lambda f: f.assign(score=[1.0, 2.0, float("nan")]), "2 of 3 scores are no number between 0 and 1: 2.0 of"),
        (lambda f: f.assign(score=["good", 1, 1]), "1 of 3 scores are no number between 0 and 1: 'good' of"),
        (lambda f: f.rename(columns={"score": "stars"}), "The frame has no column score"),
        (lambda f: f.drop(columns="decision_id"), "The frame has no column decision_id"),
        (lambda f: f["score"].tolist(), "not about a list"),
    ],
)
def test_of_a_column_with_a_wrong_row_nothing_is_noted(answered: tuple[Orchestrator, list[str]], spoil: Any, says: str) -> None:
    orch, ids = answered
    with pytest.raises(InputError, match=says):
        orch.feedback(spoil(pd.DataFrame({"decision_id": ids, "score": [1.0, 1.0, 0.0]})))
    assert orch.log.to_frame()["quality"].isna().all()
    assert orch.log.outcomes() == []


def test_a_score_belongs_to_one_decision_and_to_no_column(answered: tuple[Orchestrator, list[str]]) -> None:
    orch, ids = answered
    with pytest.raises(InputError, match="between 0 and 1, not None"):
        orch.feedback(ids[0])
    with pytest.raises(InputError, match="beside a whole column"):
        orch.feedback({ids[0]: 1.0}, 1.0)
    with pytest.raises(UnknownName, match="'nope'"):
        orch.feedback({"nope": 1.0})
    orch.feedback({})


def test_of_several_words_on_one_answer_in_a_column_the_last_counts(answered: tuple[Orchestrator, list[str]]) -> None:
    orch, ids = answered
    orch.feedback(pd.DataFrame({"decision_id": [ids[0], ids[0]], "score": [1.0, 0.25]}))
    assert orch.log.to_frame()["quality"][0] == 0.25
    assert evidence(orch) == "1 near of 1 outcomes"


# -- outcome tables


def a_table(n: int = 30, *, model: str = "small") -> pd.DataFrame:
    """Both models on n prompts: `small` is right on every one, `big` on none."""
    rows = [
        {"prompt_id": str(i), "prompt": f"What is the capital of country {i}?", "model": name, "score": score, "cost_usd": 0.1}
        for i in range(n)
        for name, score in ((model, 1.0), ("big", 0.0))
    ]
    return pd.DataFrame(rows)


def test_arbitrage_uses_an_imported_table_at_once_and_so_does_the_next_orchestrator(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "Lima", "big": "Lima"})
    assert orch.route(ASKED[0], strategy="arbitrage", quality=0.7, dry_run=True).model == "big"
    assert orch.learn(a_table()) == 60
    assert orch.route(ASKED[0], strategy="arbitrage", quality=0.7, dry_run=True).model == "small"
    assert evidence(orchestrator({"small": "Lima", "big": "Lima"})) == "30 near of 30 outcomes"


def test_the_same_table_again_counts_once_and_what_changed_in_it_counts_anew(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "Lima", "big": "Lima"})
    table = a_table()
    assert orch.learn(table) == 60
    assert orch.learn(table) == 0
    before = orch.route(ASKED[0], strategy="arbitrage", dry_run=True).candidates[0]
    table.loc[0, "score"] = 0.0
    assert orch.learn(table) == 1
    after = orch.route(ASKED[0], strategy="arbitrage", dry_run=True).candidates[0]
    assert before.evidence == after.evidence == "30 near of 30 outcomes"
    assert after.predicted_quality < before.predicted_quality


def test_a_large_imported_table_is_fitted_and_one_without_scores_teaches_nothing(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "Lima", "big": "Lima"})
    assert orch.learn(a_table(3).assign(score=np.nan)) == 0
    assert orch.learn(a_table(150)) == 300
    orch._parts.quality.refit()
    while orch._parts.quality._fitting.locked():
        pass
    assert evidence(orch).startswith("fitted on 150 outcomes")


def test_a_table_of_models_that_the_catalog_does_not_name_is_refused(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "Lima"})
    with pytest.raises(InputError, match="no model of the catalog") as refused:
        orch.learn(a_table().query("model == 'small'").assign(model="gpt-x"))
    assert "'gpt-x': 'small'" in refused.value.fix
    assert orch.learn(a_table(5, model="gpt-x")) == 10  # what is hard for it is hard for others
    with pytest.raises(InputError, match="no column score"):
        orch.learn(a_table().drop(columns="score"))


# -- lengths


def test_expected_length_is_learned_for_each_prompt_and_known_to_the_next_orchestrator(orchestrator: MakeOrchestrator) -> None:
    essays = orchestrator({"small": "long", "big": "x"}, usage=(20, 900))
    words = orchestrator({"small": "yes", "big": "x"}, usage=(20, 2))
    for thing in ("rivers", "bees", "chess", "trains", "rain"):
        essays.route(f"Write a detailed essay on {thing}.", model="small", cache=False)
        words.route(f"Are {thing} good? Answer in one word.", model="small", cache=False)
    for orch in (essays, words, orchestrator({"small": "x"})):
        long, short = (expected_tokens(orch, text) for text in ("Write an essay on tea.", "Is tea hot? In one word."))
        assert long > 5 * short
    assert expected_tokens(words, "Write an essay on tea.", "big") > expected_tokens(words, "In one word: is tea hot?", "big")
    limited = words.route("Write an essay on tea.", model="small", max_tokens=10, dry_run=True)
    assert limited.decision.output_tokens == 10


def test_cached_failed_and_planned_answers_say_nothing_of_length(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, usage=(20, 5))
    orch.route("Hello there", model="small")
    once = expected_tokens(orch, "Hello there")
    for _ in range(3):
        assert orch.route("Hello there", model="small").decision.cache == "exact"
    assert expected_tokens(orch, "Hello there") == once < 256


def test_what_is_kept_out_of_the_log_teaches_lengths_for_this_session_only(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"}, usage=(20, 5), values={"log.enabled": False})
    before = expected_tokens(orch, "Hello there")
    orch.route("Hello there", model="small")
    assert expected_tokens(orch, "Hello there") < before
    assert expected_tokens(orchestrator({"small": "x"}), "Hello there") == before


def test_logged_answers_that_broke_off_or_came_from_a_cassette_are_passed_over(orchestrator: MakeOrchestrator) -> None:
    orch = orchestrator({"small": "x"})
    before = expected_tokens(orch, "Hello there")
    attempt = {
        "model": "small", "purpose": "answer", "cache": "miss", "error": None, "output_tokens": 5, "finish_reason": "stop",
        "deployment": "d",
    }  # fmt: skip
    for i, change in enumerate(
        [{"finish_reason": "interrupted"}, {"error": "timeout: late"}, {"deployment": "cassette"}, {"purpose": "judge"}]
    ):
        orch.log.append(a_decision(f"d{i}", attempts=({**attempt, **change},)))
        assert expected_tokens(orch, "Hello there") == before
    orch.log.append(a_decision("whole", attempts=(attempt,)))
    assert expected_tokens(orch, "Hello there") < before
