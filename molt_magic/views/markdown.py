"""A model's Markdown made safe: as HTML for notebooks, and as Markdown for what reads Markdown itself."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from molt_magic.views.text import fenced, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

# fmt: off
_TAGS = frozenset((
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s",
    "a", "table", "thead", "tbody", "tr", "th", "td",
))
# fmt: on
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
# what some Markdown reader somewhere may bring to life: a tag or comment, an image, a link to code or data
_ALIVE = re.compile(r"<[a-zA-Z/!?]|!\[")
_SCHEMES = re.compile(r"(?:javascript|vbscript):|\](?:\(|:)<?(?:data|file|blob):", re.IGNORECASE)
# TeX commands with which a formula makes links, styles or loads more TeX in a MathJax that is not in its safe mode
_TEX = re.compile(r"\\(?:href|url|require|style|class|cssId|data|unicode|def|newcommand|let)(?![a-zA-Z])")


def to_html(text: str) -> str:
    """Untrusted Markdown as sanitised HTML.

    Tags in it are shown as text. An image becomes a link, so that showing an answer asks no server for anything. Only links
    to http, https and mail addresses remain. A formula that could reach outside is left untyped.
    """
    import nh3

    text = printable(text)
    clean = nh3.clean(
        _parser().render(text),
        tags=set(_TAGS),
        attributes={"a": {"href", "title"}, "th": {"style"}, "td": {"style"}, "ol": {"start"}, "code": {"class"}},
        attribute_filter=_kept,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    ignored = " mathjax_ignore tex2jax_ignore" if _TEX.search(text) else ""
    return f'<div class="molt-text{ignored}" dir="auto">{clean}</div>'


def to_markdown(text: str) -> str:
    """Untrusted Markdown for a reader of Markdown: as it is where that is harmless, else as a code block."""
    text = printable(text)
    return text if harmless(text) else fenced(text)


def harmless(text: str) -> bool:
    """Whether no reader of Markdown can make a tag, an image, or a link to other than http, https or mail of `text`."""
    squeezed = re.sub(r"\s", "", html.unescape(text))  # browsers drop line breaks and tabs inside a URL
    if _ALIVE.search(text) or _SCHEMES.search(squeezed) or _TEX.search(text):
        return False
    return all(_LINK.match(str(href)) for href in _links(_parser().parse(text)))


def _links(tokens: Sequence[Token]) -> list[str | int | float]:
    found = []
    for token in tokens:
        if token.type == "link_open":
            found.append(token.attrs.get("href", ""))
        found += _links(token.children or [])
    return found


def _kept(tag: str, attribute: str, value: str) -> str | None:
    """What nh3 keeps of an attribute: whole links, and the alignment that Markdown tables have."""
    if attribute == "href":
        return value if _LINK.match(value) else None
    if attribute == "style":
        return value if re.fullmatch(r"text-align:(?:left|right|center)", value) else None
    if tag == "code":
        return value if re.fullmatch(r"language-[\w+#.-]+", value) else None
    return value


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image_as_link)
    return parser


def _image_as_link(
    _renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Mapping[str, Any]
) -> str:
    token = tokens[index]
    label = html.escape(f"image: {token.content or token.attrs.get('src', '')}")
    source = str(token.attrs.get("src", ""))
    return f'<a href="{html.escape(source)}">{label}</a>' if _LINK.match(source) else f"[{label}]"
