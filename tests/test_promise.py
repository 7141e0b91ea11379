"""A promise as a file: the same policy comes out, or an error that says what to do."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molt_magic import evaluation
from molt_magic.embed import StaticEmbedder
from molt_magic.errors import InputError, StoreError
from molt_magic.evaluation.knn import Knn
from molt_magic.quality import Predictor, Promise
from molt_magic.quality.store import save
from tests.evaluation.synthetic import table

EMBEDDER = StaticEmbedder()


@pytest.fixture(scope="module")
def promise() -> Promise:
    return evaluation.calibrate(table(600, responses=False), target=0.9, embedder=EMBEDDER).promise


@pytest.fixture
def file(promise: Promise, tmp_path: Path) -> Path:
    path = tmp_path / "new folder" / "promise.npz"
    promise.save(path)
    return path


def test_a_kept_promise_picks_what_it_picked(promise: Promise, file: Path) -> None:
    loaded = Promise.load(file, EMBEDDER)
    assert loaded == promise
    assert (loaded.id, loaded.statement) == (promise.id, promise.statement)
    held = table(150, seed=9).drop_duplicates("prompt_id")
    for tasks in (None, held["task"].tolist()):
        assert loaded.route(held["prompt"].tolist(), tasks) == promise.route(held["prompt"].tolist(), tasks)
    first = held.iloc[0]
    assert loaded.pick(first["prompt"]) == promise.route([first["prompt"]])[0]


def test_only_its_owner_may_read_it_and_nothing_else_is_left_behind(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in file.parent.iterdir()] == [file.name]


def test_it_holds_no_prompt(promise: Promise, file: Path) -> None:
    assert b"capital city" not in file.read_bytes()


def test_the_same_outcomes_make_the_same_promise_and_other_wishes_another(promise: Promise) -> None:
    again = evaluation.calibrate(table(600, responses=False), target=0.9).promise
    assert again.id == promise.id
    assert replace(promise, target=0.8).id != promise.id
    assert replace(promise, created="2020-01-01T00:00:00+00:00").id == promise.id


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_an_error_with_the_fix(file: Path, share: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(StoreError, match=r"is damaged.*calibrate TABLE --keep"):
        Promise.load(file, EMBEDDER)


def test_a_file_with_one_wrong_byte_is_an_error_or_the_same_promise(promise: Promise, file: Path) -> None:
    """A byte that no reader looks at (a time in the archive's directory) may be wrong; nothing that decides may."""
    whole = bytearray(file.read_bytes())
    rng = np.random.default_rng(0)
    spots = [*range(0, 200), *rng.integers(0, len(whole), 100), *range(len(whole) - 1500, len(whole), 3)]
    refused = 0
    for at in spots:
        broken = whole.copy()
        broken[at] ^= 0x41
        file.write_bytes(broken)
        try:
            assert Promise.load(file, EMBEDDER) == promise
        except StoreError:
            refused += 1
    assert refused > len(spots) / 2


def test_what_is_no_promise_is_told(promise: Promise, tmp_path: Path) -> None:
    assert isinstance(promise.predictor, Predictor)
    fit, text, array = tmp_path / "quality.npz", tmp_path / "note.npz", tmp_path / "array.npz"
    save(promise.predictor, fit, {"seen": {}})
    text.write_text("promise = 1")
    np.savez(array, about=np.array("{}"))
    for path in (fit, text, array):
        with pytest.raises(StoreError, match=r"no promise of|no file of"):
            Promise.load(path, EMBEDDER)
    with pytest.raises(StoreError, match="There is no file"):
        Promise.load(tmp_path / "gone.npz", EMBEDDER)
    with pytest.raises(StoreError, match="cannot be read"):
        Promise.load(tmp_path, EMBEDDER)


def test_it_is_bound_to_its_embedder(file: Path) -> None:
    class Other(StaticEmbedder):
        id = "another-256"

    with pytest.raises(StoreError, match=r"belongs to the embedder wordllama.*but another-256 is in use"):
        Promise.load(file, Other())


def test_a_promise_by_another_predictor_holds_in_memory_and_cannot_be_kept(tmp_path: Path) -> None:
    found = evaluation.calibrate(table(600, responses=False), target=0.9, predictor=lambda: Knn(k=40)).promise
    assert found.pick("What is the capital city of the country number 3 on the map of the world?") in found.models
    with pytest.raises(InputError, match="Knn"):
        found.save(tmp_path / "promise.npz")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_told(promise: Promise, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "promise.npz", tmp_path / "a\0b.npz"):
        with pytest.raises(StoreError, match="cannot be written"):
            promise.save(path)
