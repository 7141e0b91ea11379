"""The log of decisions as a table that is searched, sorted and opened row by row."""

from molt_magic.views.decisions.view import Decisions, latest

__all__ = ["Decisions", "latest"]
