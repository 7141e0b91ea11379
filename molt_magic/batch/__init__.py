"""A column of prompts in, a frame out: every different question asked once, many at a time, within a budget.

`column` reads what was given and finds the questions that are different, `run` asks them on the orchestrator's loop, `file`
keeps the answers of a run that has a name, so that it can be gone on with, and `frame` puts the rows back in order.
"""

from __future__ import annotations

from molt_magic.batch.ask import ask_column
from molt_magic.batch.forecast import Forecast
from molt_magic.batch.progress import Progress
from molt_magic.batch.run import Asks
from molt_magic.batch.runs import Runs

__all__ = ["Asks", "Forecast", "Progress", "Runs", "ask_column"]
