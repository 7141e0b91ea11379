"""Untrusted text inside a sentence of ours."""

from __future__ import annotations

import re

from molt_magic.views.text import one_line

# Unicode's explicit embeddings, overrides and isolates: they would turn around the words that follow, which are ours
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_LIMIT = 200  # characters of a name or a reason


def short(text: object, limit: int = _LIMIT) -> str:
    """The text as a fragment: printable, on one line, at most `limit` characters, the direction of the rest left alone."""
    return one_line(_TURNING.sub("", str(text)[: 10 * limit]), limit)
