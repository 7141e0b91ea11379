"""Sums that an answer states, done again exactly.

Only what can be read without doubt counts: numbers, + - * / ^ % and brackets on the left of an equals sign, one number on
its right. Decimals on the right may be rounded to the places they show; a whole number must be exact, or have its remainder
beside it. A line that names another base than ten, or a modulus, is passed over, and so is a clock's time.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from molt_magic.types import Attempt, Verdict
from molt_magic.validators.rules import accept, refuse, text_of

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?%?"
_OPERATOR = r"(?:\*\*|[-+*/^%])"
_ATOM = rf"\(*\s*-?[$€£]?{_NUMBER}\s*\)*"
# The right side is only looked at: in 12 * 3 = 36 + 4 = 40 it begins the next sum.
_CLAIM = re.compile(
    rf"(?<![\w.,])(?<!\d:)(?P<left>{_ATOM}(?:\s*{_OPERATOR}\s*{_ATOM})+)\s*==?\s*[$€£]?(?=(?P<right>-?\s?[$€£]?{_NUMBER})(?![\w]|[.,:]\d))"
)
# 17 / 5 = 3 remainder 2, 3 R 2, 3 with a remainder of 2, 3 with 2 left
_REMAINDER = re.compile(
    r",? \(?(?:(?:with |and )?(?:a |the )?(?:remainder|rem\.?|r)(?: of| is| =|:)? ?(\d+)|with (\d+) (?:left|remaining))\b",
    re.IGNORECASE,
)
_OTHER_SUMS = re.compile(
    r"\b(?:binary|octal|hex(?:adecimal)?|mod(?:ulo)?|base[ -]?(?!10\b|ten\b)(?:\d+|two|three|eight|sixteen))\b", re.IGNORECASE
)
# the signs of typeset sums: times, two dots, asterisk operator; division; minus and en dash
_SIGNS = str.maketrans("\u00d7\u00b7\u22c5\u2217\u00f7\u2212\u2013", "****/--")
_LATEX = ((r"\times", "*"), (r"\cdot", "*"), (r"\div", "/"), (r"\%", "%"), (r"\$", "$"), (r"\left", ""), (r"\right", ""))
_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*(?=\d)")  # 3 x 4
_PERCENT = re.compile(r"([\d.]+)%(?!\s*[\d(])")  # 5% is five hundredths; 17 % 5 is a remainder
_CONTINUES = re.compile(r"\s*(?:\*\*|[-+*/^])\s*[(\d$€£]")
_BOLD = re.compile(r"(?<!\S)\*\*(?=\S)|(?<=[^\s*])\*\*(?=[\s.,;:!?)]|$)")  # marks of Markdown, not powers
_PIECE = re.compile(r"\n|(?<=[.;!?])\s")

MAX_POWER = 256
MAX_CLAIMS = 500
MAX_PIECE_CHARS = 1000


@dataclass(frozen=True, slots=True)
class Claim:
    """One stated sum."""

    text: str
    right: bool
    value: Fraction  # what the left side really is


def claims(text: str) -> Iterator[Claim]:
    """The sums stated in a text, in order. What cannot be read without doubt is passed over."""
    for said, plain in _LATEX:
        text = text.replace(said, plain)
    text = _TIMES.sub(" * ", _BOLD.sub("", text.translate(_SIGNS)))
    found = 0
    for piece in _PIECE.split(text):
        # the expression takes quadratic time in the worst case, and nobody states a sum that long
        if "=" not in piece or len(piece) > MAX_PIECE_CHARS or _OTHER_SUMS.search(piece):
            continue
        for claim in _in_piece(" ".join(piece.split())):
            yield claim
            found += 1
            if found >= MAX_CLAIMS:
                return


def _in_piece(piece: str) -> Iterator[Claim]:
    for match in _CLAIM.finditer(piece):
        before = piece[: match.start()].rstrip()
        # the end of something longer: y - 2 + 3 = 7, f(2) + 3 = 7, 1 1/2 + 1 = 2.5; a sign that opens the line is a bullet
        if before and (before[-1] in "+-*/^%)" or before[-1].isdigit()) and before not in ("-", "+", "*"):
            continue
        # the right side goes on: 12 * 3 = 36 + 4 = 40
        if _CONTINUES.match(piece, match.end("right")):
            continue
        left, right = match["left"].strip(), match["right"]
        remainder = _REMAINDER.match(piece, match.end("right"))
        try:
            value, stated = _value(left), _value(right)
            if remainder is None:
                holds = _agrees(value, stated, right)
            else:
                holds = _divides(left, stated, Fraction(remainder[1] or remainder[2]))
        except (ValueError, SyntaxError, ZeroDivisionError, RecursionError, MemoryError):
            continue
        if not holds and re.fullmatch(r"\d+(?:-\d+)+", left):
            continue  # pages 10-12 = 3 pages: a range, not a difference
        yield Claim(f"{left} = {right}{remainder[0] if remainder else ''}", holds, value)


def arithmetic(attempt: Attempt) -> Verdict:
    """Refuses an answer that states a wrong sum; the score is the share that is right. Nothing stated: no score."""
    found = list(claims(text_of(attempt)))
    if not found:
        return accept("no arithmetic to check", None)
    wrong = [claim for claim in found if not claim.right]
    score = 1 - len(wrong) / len(found)
    if wrong:
        return refuse(f"{wrong[0].text} is wrong: it is {_shown(wrong[0].value)}", score)
    return accept(f"{len(found)} of {len(found)} sums are right")


def _agrees(value: Fraction, stated: Fraction, written: str) -> bool:
    digits = written.rstrip("%")
    places = len(digits.partition(".")[2])
    if not places:
        return value == stated
    unit = Fraction(1, 10**places) / (100 if written.endswith("%") else 1)
    return abs(value - stated) <= unit / 2


def _divides(left: str, quotient: Fraction, remainder: Fraction) -> bool:
    """Whether a division has this quotient and this remainder; ValueError where it is no division."""
    source = _plain(left)
    match ast.parse(source, mode="eval").body:
        case ast.BinOp(left=dividend, op=ast.Div(), right=divisor):
            by = _evaluate(divisor, source)
            return _evaluate(dividend, source) == quotient * by + remainder and remainder < abs(by)
    raise ValueError("no division")


def _value(text: str) -> Fraction:
    """A sum of numbers, exactly. ValueError for anything else: there is no name and no call in it."""
    source = _plain(text)
    return _evaluate(ast.parse(source, mode="eval").body, source)


def _plain(text: str) -> str:
    """A sum as Python writes it."""
    plain = re.sub(r"[,$€£]", "", text).replace("^", "**")
    plain = _PERCENT.sub(r"(\1/100)", plain)
    # 007 is a number to a reader and none to Python
    return re.sub(r"(?<![\d.])0+(?=\d)", "", plain).strip()


def _evaluate(node: ast.expr, source: str) -> Fraction:
    match node:
        case ast.Constant(value=int() | float()):
            # the digits as they were written: 0.1 is a tenth
            return Fraction(source[node.col_offset : node.end_col_offset])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, source)
        case ast.BinOp(left=left, op=op, right=right):
            return _apply(op, _evaluate(left, source), _evaluate(right, source))
    raise ValueError("not a sum of numbers")


def _apply(op: ast.operator, a: Fraction, b: Fraction) -> Fraction:
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b
        case ast.Mod():
            return a % b
        case ast.Pow() if b.denominator == 1 and abs(b) <= MAX_POWER and abs(a.numerator) < 10**12 and a.denominator < 10**12:
            return Fraction(a**b.numerator)
    raise ValueError("not a sum of numbers")


def _shown(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
