"""What a model writes is shown, and nothing of it comes alive, in every medium."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from molt_magic.views import answer, markdown
from molt_magic.views.forms import FORMATS
from molt_magic.views.tables import Page, Table
from molt_magic.views.text import fenced, for_markdown, printable
from tests.views.samples import HOSTILE, result

FORBIDDEN = {
    "script",
    "img",
    "iframe",
    "svg",
    "style",
    "object",
    "embed",
    "form",
    "input",
    "link",
    "meta",
    "base",
    "video",
    "audio",
}


class Alive(HTMLParser):
    """Collects what a browser would run, load or follow."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in FORBIDDEN:
            self.found.append(tag)
        for name, value in attrs:
            target = "".join((value or "").split()).lower()
            outside = target.startswith(("http://", "https://", "mailto:"))
            if name.startswith("on") or name in ("id", "src", "srcset", "action") or (name == "href" and not outside):
                self.found.append(f"{tag} {name}={value}")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"comment {data}")


def alive(html: str) -> list[str]:
    parser = Alive()
    parser.feed(html)
    return parser.found


def alive_markdown(text: str) -> list[str]:
    """What a reader of Markdown that lets HTML through and checks no link would make of it."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    reader.validateLink = lambda url: True  # type: ignore[method-assign]
    return alive(reader.render(text))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answer_is_dead_in_every_medium(text: str, form: str) -> None:
    shown = answer.bundle(result(text), form)
    assert alive(shown["text/html"]) == []
    assert alive_markdown(shown["text/markdown"]) == []
    assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for part in shown.values() for c in part)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_reason_and_verdict_are_dead_in_every_medium(text: str) -> None:
    attempts = (
        {**result().decision.attempts[0], "error": text, "verdict": {"accepted": False, "validator": text, "reason": text}},
    )
    candidates = ({**result().decision.candidates[0], "evidence": text, "skipped": text},)
    shown = answer.bundle(result(reason=text, attempts=attempts, candidates=candidates))
    assert alive(shown["text/html"]) == []
    assert alive_markdown(shown["text/markdown"]) == []
    assert "\x1b" not in shown["text/plain"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_cell_of_a_page_is_dead_in_every_medium(text: str) -> None:
    shown = Page((text, Table(text, (text,), ((text,),)))).bundle()
    assert alive(shown["text/html"]) == []
    assert alive_markdown(shown["text/markdown"]) == []
    assert "\x1b" not in shown["text/plain"]


def test_checker_itself_finds_what_is_alive() -> None:
    assert alive_markdown("<img src=x onerror=y>") != []
    assert alive_markdown("[x](javascript:y)") != []
    assert alive_markdown("![x](https://e.example/p.png)") != []


def test_image_becomes_a_link_that_is_followed_only_by_hand() -> None:
    html = markdown.to_html("![a cat](https://cats.example/1.png)")
    assert '<a href="https://cats.example/1.png" rel="noopener noreferrer nofollow">image: a cat</a>' in html


def test_javascript_link_stays_as_text() -> None:
    assert "[x](javascript:alert(1))" in markdown.to_html("[x](javascript:alert(1))")


def test_tags_are_shown_as_text() -> None:
    assert "&lt;b&gt;bold&lt;/b&gt;" in markdown.to_html("<b>bold</b>")


def test_ordinary_markdown_is_drawn() -> None:
    html = markdown.to_html(
        "# T\n\n- **a**\n\n| x | y |\n|:--|--:|\n| 1 | 2 |\n\n```python\nx = 1\n```\n[d](https://d.example)"
    )
    for part in (
        "<h1>T</h1>",
        "<strong>a</strong>",
        "<th",
        "text-align:right",
        'class="language-python"',
        'href="https://d.example"',
    ):
        assert part in html


def test_harmless_markdown_twin_is_the_text_itself() -> None:
    text = "Use **bold** and `data: 1`, see [docs](https://docs.example).\n\nThe data: 1, 2 and a < b."
    assert markdown.to_markdown(text) == text


def test_hostile_markdown_twin_is_fenced_beyond_its_own_backticks() -> None:
    assert markdown.to_markdown("````\n<script>\n````").startswith("`````\n")


def test_fence_cannot_be_closed_from_inside() -> None:
    assert fenced("```\nx").splitlines()[0] == "````"


def test_markdown_escape_shows_exactly_the_characters() -> None:
    text = "a|b *c* [d](e) <f> `g` $h$ &amp; #i"
    assert MarkdownIt().renderInline(for_markdown(text)) == ("a|b *c* [d](e) &lt;f&gt; `g` $h$ &amp;amp; #i")


def test_escape_sequences_leave_nothing_behind_but_their_text() -> None:
    assert printable("\x1b[31mred\x1b[0m \x1b]0;title\x07done\r\nnext") == "red done\nnext"


@pytest.mark.parametrize("text", [*HOSTILE, '" onmouseover="alert(1)', "'><script>alert(1)</script>"])
def test_hostile_cell_of_a_cut_column_is_dead_in_its_tooltip_too(text: str) -> None:
    table = Table("T", ("Model", "Prompt"), (("m", text),), cut="Prompt")
    assert alive(table.to_html()) == []
    assert "\x1b" not in table.to_plain(80)
