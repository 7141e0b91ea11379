"""The ways to show an answer, by name and apart from what does it: loading the extension needs no more."""

from __future__ import annotations

FORMATS = ("markdown", "text", "json", "code")
