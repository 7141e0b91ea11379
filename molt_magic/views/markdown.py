"""A model's Markdown made safe: as HTML for notebooks, and as Markdown for what reads Markdown itself."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from molt_magic.views import formulas
from molt_magic.views.text import fenced, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

# fmt: off
_TAGS = frozenset((
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s",
    "a", "table", "thead", "tbody", "tr", "th", "td", "span",
))
# fmt: on
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
# what some Markdown reader somewhere may bring to life: a tag or comment, an image, a link to code or data
_ALIVE = re.compile(r"<[a-zA-Z/!?]|!\[")
_SCHEMES = re.compile(r"(?:javascript|vbscript):|\](?:\(|:)<?(?:data|file|blob):", re.IGNORECASE)
# code wraps between words; Jupyter's own rule breaks it inside them
PRE = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; margin: 0.5em 0"
_WRAP = "overflow-wrap: break-word; overflow-x: auto"  # a word without end, or a wide table, must not widen the notebook


def to_html(text: str) -> str:
    """Untrusted Markdown as sanitised HTML.

    Tags in it are shown as text. An image becomes a link, so that showing an answer asks no server for anything. Only links
    to http, https and mail addresses remain. Formulas are typeset, money is not, nor a formula that could reach outside.
    """
    import nh3

    text = printable(text)
    clean = nh3.clean(
        _parser().render(text),
        tags=set(_TAGS),
        attributes={
            "a": {"href", "title"},
            "th": {"style"},
            "td": {"style"},
            "ol": {"start"},
            "code": {"class"},
            "pre": {"style"},
            "span": {"class"},
        },
        attribute_filter=_kept,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return f'<div class="molt-text {formulas.CLOSED}" dir="auto" style="{_WRAP}">{clean}</div>'


def to_markdown(text: str) -> str:
    """Untrusted Markdown for a reader of Markdown: as it is where that is harmless, else as a code block."""
    text = printable(text)
    return text if harmless(text) else fenced(text)


def harmless(text: str) -> bool:
    """Whether no reader of Markdown can make a tag, an image, or a link to other than http, https or mail of `text`."""
    squeezed = re.sub(r"\s", "", html.unescape(text))  # browsers drop line breaks and tabs inside a URL
    if _ALIVE.search(text) or _SCHEMES.search(squeezed) or formulas.REACHES_OUT.search(text):
        return False
    return all(_LINK.match(str(href)) for href in _links(_reader().parse(text)))


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
    if tag == "pre":
        return value if value == PRE else None
    if tag == "span":
        return value if value == formulas.OPEN else None
    if attribute == "style":
        return value if re.fullmatch(r"text-align:(?:left|right|center)", value) else None
    if tag == "code":
        return value if re.fullmatch(r"language-[\w+#.-]+", value) else None
    return value


@cache
def _reader() -> MarkdownIt:
    """Markdown as any reader of it understands it: none of them need know what a formula is."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@cache
def _parser() -> MarkdownIt:
    """Markdown as it is shown."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    formulas.enable(parser)
    parser.add_render_rule("image", _image_as_link)
    parser.add_render_rule("fence", _code)
    parser.add_render_rule("code_block", _code)
    parser.add_render_rule("th_open", _cell)
    parser.add_render_rule("td_open", _cell)
    return parser


def _code(_renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Mapping[str, Any]) -> str:
    token = tokens[index]
    language = token.info.split()[0] if token.info.strip() else ""
    described = f' class="language-{html.escape(language)}"' if language else ""
    return f'<pre style="{PRE}"><code{described}>{html.escape(token.content)}</code></pre>\n'


def _cell(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    tokens[index].attrs.setdefault("style", "text-align:left")  # Jupyter's own is right, in what is not Markdown to it
    return renderer.renderToken(tokens, index, options, env)


def _image_as_link(
    _renderer: RendererHTML, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Mapping[str, Any]
) -> str:
    token = tokens[index]
    label = html.escape(f"image: {token.content or token.attrs.get('src', '')}")
    source = str(token.attrs.get("src", ""))
    return f'<a href="{html.escape(source)}">{label}</a>' if _LINK.match(source) else f"[{label}]"
