"""The pictures: what is in them, what they say in words, and that no name in them is more than a name."""

from __future__ import annotations

import base64
import io
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text
from PIL import Image

from molt_magic.views.figures import canvas, rows
from molt_magic.views.figures.canvas import Picture
from molt_magic.views.figures.cost_quality import cost_quality, frontier
from molt_magic.views.figures.labels import place
from tests.views.samples import HOSTILE
from tests.views.test_untrusted import alive

HARD = (*HOSTILE, "$x^2$ and $\\frac{", "long" * 500, "日本語 🦀", "\ud83d half an emoji", "\u202eright to left", "", "\n\n")


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def image(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.png)).convert("RGBA")


# canvas


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_text_reads_on_a_light_and_on_a_dark_page(page: str) -> None:
    assert contrast(canvas.GREY, page) > 4.3  # no colour has more than 4.35 to both


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
@pytest.mark.parametrize("colour", canvas.PALETTE)
def test_marks_are_seen_on_a_light_and_on_a_dark_page(colour: str, page: str) -> None:
    assert contrast(colour, page) >= 3


def test_every_series_differs_in_more_than_colour() -> None:
    assert len(set(canvas.MARKERS)) == len(set(canvas.HATCHES)) == len(set(canvas.PALETTE)) == 6


def test_picture_is_transparent_and_twice_as_sharp_as_it_is_large() -> None:
    figure = canvas.blank(1.0)
    canvas.heading(figure, "A heading", 0.1, 0.5)
    picture = Picture.of(figure, "words")
    assert image(picture).getpixel((0, 0))[3] == 0
    assert image(picture).size == (1520, 200)
    assert picture.size == (760, 100)


def test_picture_is_a_png_output_with_its_words_beside_it() -> None:
    picture = Picture.of(canvas.blank(1.0), "words")
    data, metadata = picture.bundle()
    assert base64.b64decode(data["image/png"]) == picture.png
    assert data["text/plain"] == repr(picture) == "words"
    assert metadata["image/png"] == {"width": 760, "height": 100, "alt": "words"}


@pytest.mark.parametrize("text", HARD)
def test_alternative_text_is_one_attribute_whatever_is_in_it(text: str) -> None:
    html = Picture.of(canvas.blank(0.5), text).html()
    assert [found for found in alive(html) if found != "img" and not found.startswith("img src=data:image/png;base64,")] == []


@pytest.mark.parametrize("text", HARD)
def test_name_is_one_short_line_that_the_font_can_show(text: str) -> None:
    shown = canvas.name(text)
    assert len(shown) <= 28
    assert shown.isprintable()
    assert all(ord(c) in canvas._glyphs() for c in shown)


def test_dollars_are_never_a_formula() -> None:
    figure = canvas.blank(1.0)
    canvas.heading(figure, "$\\frac{$", 0.1, 0.5)
    axes = canvas.panel(figure, 0.1, 0.1, 1.0, 0.3)
    axes.set_xticks([0.0], ["$\\sqrt{$ $1"])
    Picture.of(figure, "")
    assert not any(text.get_parse_math() for text in figure.findobj(Text))


def test_user_s_own_style_does_not_reach_the_figure() -> None:
    import matplotlib

    with matplotlib.rc_context({"text.usetex": True, "figure.constrained_layout.use": True, "axes.facecolor": "red"}):
        picture = cost_quality(["a"], [1.0], [0.5], caption="A caption")
    assert image(picture).getpixel((760, 300))[3] == 0


@settings(deadline=None)
@given(st.floats(1e-9, 1e9))
def test_ticks_of_an_axis_reach_its_top_in_few_round_steps(top: float) -> None:
    ticks = canvas.steps(top)
    assert ticks[0] == 0
    assert top <= ticks[-1] * (1 + 1e-9)
    assert 2 <= len(ticks) <= 6
    assert len(set(canvas.amounts(ticks))) == len(ticks)


@settings(deadline=None)
@given(st.floats(-6, 5), st.floats(0.1, 6))
def test_ticks_of_a_logarithmic_axis_lie_on_it(start: float, decades: float) -> None:
    low, high = 10.0**start, 10.0 ** (start + decades)
    ticks = canvas.decades(low, high)
    assert 1 <= len(ticks) <= 8
    assert all(low <= t <= high for t in ticks)


def test_fitted_text_is_as_wide_as_its_room_at_most() -> None:
    assert canvas.width_of(canvas.fit("m" * 300, 1.5)) <= 1.5
    assert canvas.fit("short", 1.5) == "short"


# cost against quality

POINTS = st.lists(st.tuples(st.just("m"), st.floats(0, 10), st.floats(0, 1)), max_size=12)


@settings(deadline=None)
@given(POINTS)
def test_nothing_beats_a_point_of_the_pareto_line_and_something_beats_or_equals_every_other(
    points: list[tuple[str, float, float]],
) -> None:
    line = frontier(points)
    for _, cost, good in line:
        assert not any((c < cost and g >= good) or (c <= cost and g > good) for _, c, g in points)
    for point in points:
        assert point in line or any(c <= point[1] and g >= point[2] for _, c, g in line)


def test_words_name_every_point_the_line_and_what_is_unknown() -> None:
    picture = cost_quality(
        ["cheap", "worse", "dear", "priceless", "unscored"],
        [0.0, 0.002, 0.01, None, 0.5],
        [0.6, 0.5, 0.9, 0.7, math.nan],
        caption="A prompt",
    )
    assert "cheap: $0, quality 0.60; worse: $0.0020, quality 0.50; dear: $0.010, quality 0.90." in picture.alt
    assert "On the Pareto line: cheap, dear." in picture.alt
    assert "Not drawn: priceless (cost unknown). Not drawn: unscored (quality unknown)." in picture.alt


@pytest.mark.parametrize(
    ("costs", "quality"),
    [
        ([], []),
        ([None], [None]),
        ([0.0], [0.0]),
        ([0.0, 0.0], [0.5, 1.0]),
        ([1e-9, 1e6], [0.0, 1.0]),
        ([0.1] * 30, [0.9] * 30),
        ([0.1] * 30, [i / 30 for i in range(30)]),
    ],
)
def test_any_points_can_be_drawn(costs: list[float | None], quality: list[float | None]) -> None:
    picture = cost_quality([f"m{i}" for i in range(len(costs))], costs, quality, caption="c")
    assert picture.size[0] == 760


def test_hostile_names_are_drawn_as_text() -> None:
    picture = cost_quality(HARD, [0.001 * (i + 1) for i in range(len(HARD))], [0.5] * len(HARD), caption=HARD[-5])
    assert "\x1b" not in picture.alt
    assert "\n" not in picture.alt


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)), min_size=2, max_size=6, unique=True))
def test_names_of_few_points_stay_inside_the_axes(points: list[tuple[float, float]]) -> None:
    spots = place([f"m{i}" for i in range(len(points))], points, (6.0, 3.0))
    assert all(spot.left >= 0 and 0 <= spot.middle <= 1 for spot in spots)


# rows


def test_rates_say_how_many_of_how_many() -> None:
    picture = rows.rates(["a", "b"], {"Fallbacks": [(12, 340), (0, 0)]}, caption="How often")
    assert picture.alt == "How often. Fallbacks: a 12 of 340; b 0 of 0."


def test_service_tells_the_kinds_of_scores_apart() -> None:
    scores = {"judge": [0.9, None], "validator": [0.8, None], "user": [None, None]}
    picture = rows.service(["a", "b"], scores, [(1.0, 2.0, 4.0), None], caption="How good")
    assert picture.alt == "How good. a: judges 0.90, validators 0.80, half within 1 s, 99 % within 4 s; b: nothing known."


def test_more_rows_than_there_is_room_for_are_left_to_the_table() -> None:
    names = [f"model {i}" for i in range(40)]
    few = rows.rates(names[: rows.MOST], {"Fallbacks": [(1, 2)] * rows.MOST}, caption="c")
    many = rows.rates(names, {"Fallbacks": [(1, 2)] * 40}, caption="c")
    assert many.size == few.size
    assert rows.service(names, {}, [None] * 40, caption="c").size[0] == 760


def test_drawing_needs_no_pyplot_whose_state_is_the_user_s() -> None:
    program = (
        "import sys; from molt_magic.views.figures.cost_quality import cost_quality\n"
        "cost_quality(['a'], [1.0], [0.5], caption='c'); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "False"
