"""Predicted quality: what is fitted on a table, and how the live model uses it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molt_magic.embed import StaticEmbedder
from molt_magic.errors import InputError
from molt_magic.quality import Predictor, QualityModel
from molt_magic.quality import outcomes as outcomes_module
from molt_magic.quality.blend import blend_weights
from molt_magic.quality.calibrate import apply_curves, fit_curve
from molt_magic.quality.latent import filled
from molt_magic.quality.lengths import Answered, Lengths
from molt_magic.quality.store import load, save
from molt_magic.types import ModelSpec, Outcome

EMBEDDER = StaticEmbedder()
MODELS = ("small", "big", "other")
HARD = ("Prove that {} is irrational, step by step: show every lemma.", "Derive the integral of x^{} * exp(-x) from 0 to 1.")
EASY = ("What colour is the {}?", "Name one {} please")
THINGS = (
    "sky",
    "apple",
    "horse",
    "seven",
    "river",
    "table",
    "pi",
    "forty",
    "lamp",
    "garden",
    "window",
    "stone",
    "violin",
    "nine",
)


def a_table(n: int, seed: int = 0) -> tuple[list[str], np.ndarray, list[str]]:
    """Prompts that the small model answers when they are easy, and that the big one nearly always answers."""
    random = np.random.default_rng(seed)
    hard = random.random(n) < 0.5
    prompts = [
        (HARD if h else EASY)[random.integers(2)].format(f"{THINGS[random.integers(len(THINGS))]} {random.integers(1000)}")
        for h in hard
    ]
    chance = np.stack([np.where(hard, 0.15, 0.9), np.where(hard, 0.85, 0.95), np.where(hard, 0.3, 0.8)], axis=1)
    return prompts, (random.random((n, 3)) < chance).astype(float), ["proof" if h else "chat" for h in hard]


@pytest.fixture(scope="module")
def fitted() -> Predictor:
    prompts, scores, _ = a_table(400)
    return Predictor(embedder=EMBEDDER).fit(prompts, scores, MODELS)


def outcome(i: int, prompt: str, model: str, score: float, source: str = "user") -> Outcome:
    vector = EMBEDDER.embed([prompt])[0].tobytes()
    return Outcome(f"d{i}", model, None, score, source, EMBEDDER.id, vector, prompt)  # type: ignore[arg-type]


# -- the predictor


def test_it_tells_easy_from_hard_prompts_and_says_how_often_each_model_is_right(fitted: Predictor) -> None:
    predicted = fitted.predict(["What colour is the boat?", "Prove that 12 is irrational, step by step: show every lemma."])
    assert predicted[0, 0] > 0.7
    assert predicted[1, 0] < 0.4
    assert predicted[1, 1] > 0.7
    assert ((predicted >= 0) & (predicted <= 1)).all()


def test_what_it_predicts_for_held_out_prompts_comes_true_on_average(fitted: Predictor) -> None:
    _, scores, _ = a_table(400)
    said = fitted.left_out()
    assert said.quality.shape == said.low.shape == said.n.shape == scores.shape
    assert np.abs(said.quality.mean(axis=0) - scores.mean(axis=0)).max() < 0.01
    error = ((said.quality - scores) ** 2).mean()
    assert error < 1.1 * 0.127  # the mean of p * (1 - p): scores are coins that fall with the chances of `a_table`


def test_bounds_of_the_prompts_it_was_fitted_on_are_made_as_those_of_new_ones(fitted: Predictor) -> None:
    said, new = fitted.left_out(z=2.0), fitted.assess(a_table(400, seed=1)[0], z=2.0)
    for found in (said, new):
        np.testing.assert_allclose(
            found.quality - found.low,
            np.minimum(found.quality, 2.0 * np.sqrt(found.quality * (1 - found.quality) / (found.n + 5.0))),
            atol=1e-12,
        )
    assert (said.neighbours == 80).all()  # the others, never the prompt itself, and everyone was asked everything
    assert np.abs(said.n.mean() - new.n.mean()) < 0.1 * new.n.mean()


def test_one_prompt_alone_is_predicted_as_among_others(fitted: Predictor) -> None:
    prompts = a_table(20, seed=5)[0]
    alone = np.concatenate([fitted.predict([prompt]) for prompt in prompts])
    np.testing.assert_allclose(alone, fitted.predict(prompts), atol=1e-4)


@pytest.mark.parametrize("n", [1, 7, 23, 45, 400])
def test_multiplied_out_a_fit_says_of_a_prompt_what_it_says_member_by_member(n: int) -> None:
    prompts, scores, tasks = a_table(n)
    scores[::3, 1] = np.nan
    predictor = Predictor(embedder=EMBEDDER).fit(prompts, scores, MODELS, tasks)
    for prompt in [*a_table(10, seed=6)[0], "", "?", "def f(x):\n    return x\n" * 400, "Was wächst über Größen hinaus? 漢字"]:
        for task in (None, "proof", "never seen"):
            vector = EMBEDDER.embed([prompt])[0]
            found, whole = predictor.foresee(prompt, task, vector), predictor.assess([prompt], [task], vectors=vector[None])
            np.testing.assert_allclose(found.quality, whole.quality[0], atol=1e-6)
            # cosines of one prompt and of many are added up in another order, and which depends on the processor
            np.testing.assert_allclose(found.n, whole.n[0], rtol=1e-5)
            assert found.neighbours == whole.neighbours[0].tolist()


def test_a_prompt_that_resembles_nothing_has_little_evidence_and_a_wide_interval(fitted: Predictor) -> None:
    near = fitted.assess(["What colour is the apple?"])
    far = fitted.assess(["Ignorez la consigne et traduisez ce poème en vers rimés"])
    assert far.n[0, 0] < near.n[0, 0]
    assert (far.low <= far.quality).all()
    assert (far.quality <= far.high).all()
    np.testing.assert_allclose(fitted.predict_low(["x"], z=2.0), fitted.assess(["x"], z=2.0).low)


def test_a_model_with_few_outcomes_leans_on_what_the_others_showed() -> None:
    prompts, scores, _ = a_table(300)
    scores[10:, 2] = np.nan
    predicted = Predictor(embedder=EMBEDDER).fit(prompts, scores, MODELS).predict([EASY[0].format("boat"), HARD[1].format("7")])
    assert predicted[0, 2] > predicted[1, 2] + 0.1


def test_the_task_counts_where_it_is_known_and_is_not_needed_where_it_is_not() -> None:
    _, scores, tasks = a_table(300)
    alike = [f"Question number {i} of the list" for i in range(300)]
    predictor = Predictor(embedder=EMBEDDER).fit(alike, scores, MODELS, tasks)
    told = predictor.predict(["Question number 900 of the list"] * 2, ["proof", "chat"])
    untold = predictor.predict(["Question number 900 of the list"] * 2, [None, "never seen"])
    assert told[1, 0] > told[0, 0] + 0.3
    assert told[0, 0] < untold[0, 0] < told[1, 0]
    np.testing.assert_allclose(untold[0], untold[1])


@pytest.mark.parametrize("n", [1, 2, 7, 19, 20, 23, 45])
def test_small_tables_are_no_error(n: int) -> None:
    prompts, scores, tasks = a_table(n)
    scores[::3, 1] = np.nan
    predictor = Predictor(embedder=EMBEDDER).fit(prompts, scores, MODELS, tasks)
    found = predictor.assess([*prompts, "", "?"], [*tasks, None, "chat"])
    assert np.isfinite(found.quality).all()
    assert np.isfinite(found.low).all()


def test_the_same_prompt_everywhere_is_no_error() -> None:
    predictor = Predictor(embedder=EMBEDDER).fit(["same"] * 30, np.tile([1.0, 0.0], (30, 1)), ["a", "b"])
    predicted = predictor.predict(["same"])
    assert predicted[0, 0] > 0.8
    assert predicted[0, 1] < 0.2


@pytest.mark.parametrize(
    ("scores", "fix"),
    [(np.zeros((2, 2)), "row a prompt"), (np.full((3, 1), np.nan), "between"), (np.full((3, 1), 7.0), "Scale")],
)
def test_a_table_that_is_none_is_refused_with_the_fix(scores: np.ndarray, fix: str) -> None:
    with pytest.raises(InputError) as raised:
        Predictor(embedder=EMBEDDER).fit(["a", "b", "c"], scores, ["m"])
    assert fix in str(raised.value.fix)


def test_asking_before_a_fit_is_refused() -> None:
    with pytest.raises(InputError, match="not fitted"):
        Predictor(embedder=EMBEDDER).predict(["x"])


def test_a_saved_predictor_says_the_same_and_another_embedder_does_not_read_it(fitted: Predictor, tmp_path: Path) -> None:
    save(fitted, tmp_path / "quality.npz", {"seen": {"small": 3}})
    found = load(tmp_path / "quality.npz", EMBEDDER)
    assert found is not None
    np.testing.assert_array_equal(found[0].predict(["What?"]), fitted.predict(["What?"]))
    assert found[1] == {"seen": {"small": 3}}
    assert (tmp_path / "quality.npz").stat().st_mode & 0o077 == 0

    class Other(StaticEmbedder):
        id = "other"

    assert load(tmp_path / "quality.npz", Other()) is None
    (tmp_path / "quality.npz").write_bytes((tmp_path / "quality.npz").read_bytes()[:999])
    assert load(tmp_path / "quality.npz", EMBEDDER) is None


# -- its parts


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_filling_gaps_leaves_what_is_known_and_stays_between_0_and_1(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.where(random.random((12, 4)) < 0.5, random.random((12, 4)), np.nan)
    whole = filled(scores)
    known = ~np.isnan(scores)
    np.testing.assert_array_equal(whole[known], scores[known])
    assert ((whole >= 0) & (whole <= 1)).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_calibrated_prediction_keeps_its_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    predicted, scores = random.random(40), (random.random(40) < 0.5).astype(float)
    mapped = apply_curves(np.sort(predicted)[:, None], np.array([fit_curve(predicted, scores)]))
    assert (np.diff(mapped[:, 0]) >= 0).all()


def test_a_blend_trusts_who_was_right_on_held_out_folds() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=500)
    weights = blend_weights(np.stack([truth + random.normal(size=500) * 0.1, random.normal(size=500)], axis=1), truth)
    assert weights[0] > 5 * weights[1] >= 0


def answered(lengths: Lengths, n: int, tokens: int, prompt: str = "", *, task: str | None = None, whole: bool = True) -> None:
    for _ in range(n):
        lengths.learn(Answered("m", task, tokens, prompt, whole=whole))


def test_answers_to_a_task_are_as_long_as_they_were_and_until_then_as_the_models_others() -> None:
    lengths = Lengths()
    assert lengths.expected("m", "code") == pytest.approx(256)
    answered(lengths, 100, 20, task="chat")
    assert 20 < lengths.expected("m", "chat") < 40
    assert lengths.expected("m", "code") == lengths.expected("m", None) < 60


def test_a_prompt_that_asks_for_one_word_is_expected_to_get_a_shorter_answer_than_an_essay() -> None:
    lengths = Lengths()
    for thing in THINGS:
        answered(lengths, 3, 2, f"Is {thing} a noun? Answer in one word.")
        answered(lengths, 3, 900, f"Write a detailed essay on {thing}.")
    word, essay = (lengths.expected("m", None, text) for text in ("Name a fruit in one word.", "Write an essay on fruit."))
    assert word < 10
    assert essay > 500
    new_word, new_essay = (lengths.expected("new", None, text) for text in ("A fruit in one word?", "Write an essay on fruit."))
    assert new_essay > 10 * new_word


def test_an_answer_cut_off_at_its_limit_counts_as_at_least_that_long() -> None:
    whole, cut = Lengths(), Lengths()
    for lengths in (whole, cut):
        answered(lengths, 50, 100)
    answered(whole, 50, 200)
    answered(cut, 50, 200, whole=False)
    assert cut.expected("m", None) > whole.expected("m", None) > 100


@given(st.lists(st.tuples(st.integers(1, 10**6), st.booleans(), st.text(max_size=40)), max_size=20))
@settings(max_examples=25, deadline=None)
def test_an_expected_length_is_a_positive_number_whatever_was_seen(seen: list[tuple[int, bool, str]]) -> None:
    lengths = Lengths()
    for tokens, whole, prompt in seen:
        answered(lengths, 1, tokens, prompt, whole=whole)
    assert 0 < lengths.expected("m", None, "What?") < 10**9


# -- the live model


def live(tmp_path: Path | None = None) -> QualityModel:
    path = None if tmp_path is None else tmp_path / "quality.npz"
    return QualityModel(embedder_id=EMBEDDER.id, embedder=EMBEDDER, path=path)


def outcomes_of(n: int) -> list[Outcome]:
    prompts, scores, _ = a_table(n)
    return [
        outcome(i, prompt, name, score)
        for i, (prompt, row) in enumerate(zip(prompts, scores, strict=True))
        for name, score in zip(MODELS, row, strict=True)
    ]


def teach(model: QualityModel, n: int) -> None:
    model.learn(outcomes_of(n))


def say(model: QualityModel, prompt: str, name: str = "small", prior: float = 0.5) -> tuple[float, str]:
    spec = ModelSpec(name=name, provider="local", model=name, prior_quality=prior)
    found = model.predict(spec, task=None, vector=EMBEDDER.embed([prompt])[0], prompt=prompt)
    assert found.low <= found.quality
    return found.quality, found.evidence


def test_of_several_words_on_one_answer_the_strongest_newest_counts() -> None:
    model = QualityModel(embedder_id=EMBEDDER.id)
    model.learn([outcome(1, "hello", "small", 0.0, "validator"), outcome(1, "hello", "small", 1.0, "user")])
    model.learn([outcome(1, "hello", "small", 0.0, "judge")])
    quality, evidence = say(model, "hello")
    assert quality > 0.5
    assert evidence == "1 near of 1 outcomes"


def test_an_imported_outcome_of_the_same_id_is_another_word_on_the_same_answer() -> None:
    model = QualityModel(embedder_id=EMBEDDER.id)
    assert model.learn([outcome(1, "hello", "small", 0.0, "imported"), outcome(2, "hello", "small", 1.0, "imported")]) == 2
    assert model.learn([outcome(1, "hello", "small", 0.0, "imported")]) == 0
    assert model.learn([outcome(1, "hello", "small", 1.0, "imported")]) == 1
    quality, evidence = say(model, "hello")
    assert quality > 0.6
    assert evidence == "2 near of 2 outcomes"


def test_with_enough_outcomes_it_is_fitted_and_says_so_and_the_next_session_knows(tmp_path: Path) -> None:
    model = live(tmp_path)
    teach(model, 30)
    assert not model.refit()
    assert "near of" in say(model, "What colour is the boat?")[1]
    teach(model, 150)
    deadline = time.monotonic() + 60
    while "fitted on" not in say(model, "What colour is the boat?")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    easy, evidence = say(model, "What colour is the boat?")
    assert easy > say(model, HARD[0].format("4"))[0] + 0.3
    assert evidence.startswith("fitted on 150 outcomes, ")
    while not (tmp_path / "quality.npz").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = live(tmp_path)
    assert say(again, "What colour is the boat?")[1] == "prior only"  # a fit whose outcomes are gone is not believed
    teach(again, 150)
    assert say(again, "What colour is the boat?") == (pytest.approx(easy), evidence)


def fitted_in(model: QualityModel) -> None:
    """Fit now, or wait for the fit that has begun."""
    deadline = time.monotonic() + 60
    while not model.refit() and (model._fitting.locked() or model._fit is None):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_session_that_reads_only_the_end_of_a_long_log_goes_by_the_fit_on_all_of_it(tmp_path: Path) -> None:
    whole, log = live(tmp_path), outcomes_of(150)
    whole.learn(log, begins=1)
    fitted_in(whole)
    late = live(tmp_path)
    late.learn(log[-90:], begins=1)
    assert say(late, "What colour is the boat?") == say(whole, "What colour is the boat?")
    late.learn(outcome(1000 + i, "What colour is the boat?", "small", 0.0) for i in range(30))
    assert say(late, "What colour is the boat?")[1].endswith(", 30 near since")


def test_a_fit_is_not_believed_once_what_it_was_made_of_was_pruned(tmp_path: Path) -> None:
    whole, log = live(tmp_path), outcomes_of(150)
    whole.learn(log, begins=1)
    fitted_in(whole)
    late = live(tmp_path)
    late.learn(log[-90:], begins=361)
    assert say(late, "What colour is the boat?")[1].endswith("near of 30 outcomes")


def test_a_fit_rests_on_older_outcomes_too_than_those_a_session_began_with() -> None:
    log = outcomes_of(150)
    late = QualityModel(embedder_id=EMBEDDER.id, embedder=EMBEDDER, older=lambda: log[:-90])
    late.learn(log[-90:])
    fitted_in(late)
    assert say(late, "What colour is the boat?")[1].startswith("fitted on 150 outcomes, ")


def test_of_too_many_prompts_the_newest_of_each_model_are_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes_module, "MOST_PROMPTS", 6)
    records = {name: outcomes_module.Record() for name in MODELS}
    for i in range(30):
        records[MODELS[i % 3]].take(outcome(i, f"prompt {i}", MODELS[i % 3], 1.0), embedder_id=EMBEDDER.id)
    table = outcomes_module.table_of(records, EMBEDDER.dim)
    assert table.models == list(MODELS)
    assert sorted(table.prompts) == [f"prompt {i}" for i in range(24, 30)]


def test_what_came_in_after_the_fit_moves_the_prediction() -> None:
    model = live()
    teach(model, 150)
    model.refit()
    deadline = time.monotonic() + 60
    while "fitted on" not in say(model, "What colour is the boat?")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before, _ = say(model, "What colour is the boat?")
    model.learn(outcome(1000 + i, "What colour is the boat?", "small", 0.0) for i in range(30))
    after, evidence = say(model, "What colour is the boat?")
    assert after < before - 0.2
    assert evidence.endswith(", 30 near since")


def test_a_model_without_outcomes_is_expected_to_do_worse_on_what_is_hard_for_the_others() -> None:
    model = live()
    teach(model, 150)
    model.refit()
    deadline = time.monotonic() + 60
    while say(model, HARD[0].format("4"), "new", 0.6)[0] >= say(model, "What colour is the boat?", "new", 0.6)[0] - 0.1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
