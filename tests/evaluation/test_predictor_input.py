"""What a predictor of quality is given by those who have a table in hand: columns, gaps, nothing at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from molt_magic.embed import StaticEmbedder
from molt_magic.evaluation.matrix import to_outcomes
from molt_magic.evaluation.tables import read_outcomes
from molt_magic.quality import Predictor
from tests.evaluation.synthetic import table

KNOWN = to_outcomes(read_outcomes(table(60)))


@pytest.mark.parametrize("n", [60, 6], ids=["learned", "means only"])
def test_of_no_prompts_nothing_is_predicted(n: int) -> None:
    known = to_outcomes(read_outcomes(table(n)))
    fitted = Predictor(embedder=StaticEmbedder()).fit(known.texts, known.scores, known.models, known.tasks)
    assert fitted.predict([]).shape == (0, 3)
    assert fitted.predict_low([]).shape == (0, 3)
    assert fitted.assess([]).neighbours.shape == (0, 3)


def test_a_task_that_is_nan_is_none() -> None:
    gaps = [None if i % 4 == 0 else task for i, task in enumerate(KNOWN.tasks)]
    column = pd.Series(gaps, dtype=object).fillna(float("nan")).tolist()
    found, told = (
        Predictor(embedder=StaticEmbedder()).fit(KNOWN.texts, KNOWN.scores, KNOWN.models, tasks) for tasks in (column, gaps)
    )
    assert found.fitted.tasks == told.fitted.tasks
    np.testing.assert_array_equal(found.left_out().quality, told.left_out().quality)


def test_a_column_is_predicted_as_a_list() -> None:
    fitted = Predictor(embedder=StaticEmbedder()).fit(KNOWN.texts, KNOWN.scores, KNOWN.models)
    column = pd.Series(KNOWN.texts[:3], index=[7, 8, 9])
    for count in (1, 3):
        np.testing.assert_array_equal(fitted.predict(column[:count]), fitted.predict(column[:count].tolist()))  # type: ignore[arg-type]
