"""Untrusted text made fit for each medium: a terminal, HTML, Markdown."""

from __future__ import annotations

import html
import re

# CSI, OSC and two-character escape sequences of terminals; an OSC may end with BEL, ST or the text itself
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~$&])")


def printable(text: str) -> str:
    """`text` without terminal escape sequences and control characters; newlines and tabs stay.

    A terminal obeys what it is sent: a title, a link, a cleared screen. Nothing a model wrote may do that.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _ANSI.sub("", text))


def one_line(text: str, limit: int | None = None) -> str:
    """`text` printable, on one line, at most `limit` characters."""
    line = " ".join(printable(text).split())
    return line if limit is None or len(line) <= limit else f"{line[: limit - 3]}..."


def for_html(text: str) -> str:
    """`text` as HTML that shows exactly its characters."""
    return html.escape(printable(text))


def for_markdown(text: str) -> str:
    """`text` on one line of Markdown that shows exactly its characters: no link, image, tag or table cell comes of it."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def fenced(text: str, language: str = "") -> str:
    """`text` as a Markdown code block that its own backticks cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
