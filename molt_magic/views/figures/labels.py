"""Where the names of points go, so that none covers another or a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from molt_magic.views.figures import canvas

_AWAY = 0.11  # inches between a point's middle and its name
_TALL = 0.17  # inches that a line of text takes
_ROUND = 0.08  # inches around a point's middle that belong to it
_LINE = 0.03  # inches on both sides of a line

Box = tuple[float, float, float, float]  # left, bottom, right, top; inches


@dataclass(frozen=True, slots=True)
class Spot:
    """A name and where it stands; places in fractions of the axes."""

    text: str
    point: tuple[float, float]
    left: float
    middle: float
    far: bool  # whether it stands so far away that a line must lead to it


def place(
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    size: tuple[float, float],
    *,
    steps: Sequence[tuple[float, float]] = (),
) -> list[Spot]:
    """A place for each name beside its point, inside the axes where that can be done.

    Args:
        points: in fractions of the axes.
        size: of the axes, inches.
        steps: the points of a line that goes right and then up to the next; no name should stand on it.
    """
    width, height = size
    at = [(x * width, y * height) for x, y in points]
    taken: list[Box] = [(x - _ROUND, y - _ROUND, x + _ROUND, y + _ROUND) for x, y in at]
    for (x, y), (to_x, to_y) in pairwise([(x * width, y * height) for x, y in steps]):
        taken += [(x, y - _LINE, to_x, y + _LINE), (to_x - _LINE, y, to_x + _LINE, to_y)]
    spots = []
    for text, (x, y), point in zip(names, at, points, strict=True):
        wide = canvas.width_of(text)
        tries = [(_box(x, y, wide, dx, dy, step), step > 0) for step in range(6) for dx, dy in _AROUND]
        box, far = min(tries, key=lambda option: _trouble(option[0], taken, size))  # the first, and so nearest, of the best
        taken.append(box)
        spots.append(Spot(text, point, box[0] / width, (box[1] + box[3]) / 2 / height, far))
    return spots


# right, left, above, below, and the corners
_AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def _box(x: float, y: float, wide: float, dx: int, dy: int, step: int) -> Box:
    away = _AWAY + 0.17 * step
    left = x + away if dx > 0 else x - away - wide if dx < 0 else x - wide / 2
    middle = y + dy * (away + _TALL / 2 if not dx else 0.6 * away + 0.05)
    return left, middle - _TALL / 2, left + wide, middle + _TALL / 2


def _trouble(box: Box, taken: Sequence[Box], size: tuple[float, float]) -> float:
    """Square inches that are covered already, and much more for what sticks out."""
    covered = sum(_shared(box, other) for other in taken)
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return covered + 3 * (whole - _shared(box, (0.0, 0.0, *size)))


def _shared(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
