"""Takes a key out of all that a server says: a hostile or careless one sends it back.

The only place where what a server says and the key it was sent meet is the call itself, so what leaves here is what is
shown, logged, cached, recorded and raised. Found are the key and pieces of it, in any case, with spaces in, reversed, in
base64, in hexadecimal and percent-encoded. A server that wants to can disguise a key further; it has the key already, and
who reads the answer must know the disguise.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote

from molt_magic.errors import ProviderError, StreamInterrupted
from molt_magic.types import Completion

E = TypeVar("E", bound=ProviderError)

REMOVED = "[key removed]"
_SHORTEST = 8  # characters of a key that is looked for in answers; a shorter one is a placeholder like `none`
_LONG = 16
_PIECE = 12  # of a long key: as much in a row as no text has by chance
_HELD = 4  # a stream's last characters wait from here on: fewer than these of a key are no secret, and words share them
_LONGEST_NAME = 200
_PUBLIC = re.compile(r"(?:[a-z]{2,10}\d{0,2}[-_])+")  # `sk-ant-api03-`: how many keys begin, and documentation says so
_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_MOST_SPACES = 3  # in a row between two characters of a key


@lru_cache(maxsize=64)
def redaction_of(key: str | None) -> Redaction:
    """What takes this key out. None, and what is no secret (`none`, `ollama`, `not-needed`), takes nothing out."""
    return Redaction(key)


class Redaction:
    """Takes one key out of texts, streams, completions and errors.

    Args:
        key: 16 characters and more are looked for in every form and, where there is a digit among them, in pieces of 12 and
            more; 8 to 15 only with a digit, and whole. Without a digit it may be a placeholder that is made of words.
    """

    __slots__ = ("_beginnings", "_block", "_blocks", "_forms", "_longest")

    def __init__(self, key: str | None) -> None:
        self._forms = tuple(_forms(key.strip())) if key else ()  # (text, how many characters of it in a row are a hit)
        self._longest = max((least for _, least in self._forms), default=0)
        # a run of n characters holds a whole block of (n + 1) // 2, wherever the text is cut into blocks
        self._block = (min((least for _, least in self._forms), default=0) + 1) // 2
        self._blocks = _runs(self._forms, self._block)
        self._beginnings = _runs(self._forms, _HELD)

    def __repr__(self) -> str:
        return "Redaction(...)"

    def __bool__(self) -> bool:
        return bool(self._forms)

    def text(self, text: str) -> str:
        """The text without the key."""
        if not self._forms or not self._may_hold(text):
            return text
        flat, places = _flat(text)
        return _without(text, [(places[start], places[end - 1] + 1) for start, end in self._hits(flat)])

    def data(self, value: Any) -> Any:
        """JSON-like data without the key, in its names too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.data(name): self.data(part) for name, part in value.items()}
        return [self.data(part) for part in value] if isinstance(value, list | tuple) else value

    def completion(self, said: Completion) -> Completion:
        """A completion without the key."""
        text, model = self.text(said.text), self.text(said.model)[:_LONGEST_NAME]
        if text == said.text and model == said.model and not said.tool_calls:
            return said
        return replace(said, text=text, model=model, tool_calls=tuple(self.data(call) for call in said.tool_calls))

    def error(self, error: E) -> E:
        """The error without the key, and without what it came of: that holds the request, and the request the key."""
        error.message, error.fix = self.text(error.message), self.text(error.fix)
        error.args = (error.message,)
        if isinstance(error, StreamInterrupted) and error.partial is not None:
            error.partial = self.completion(error.partial)
        error.__cause__ = error.__context__ = None
        return error

    def stream(self, on_delta: Callable[[str], None]) -> Stream:
        """What stands between a stream and who is handed its text."""
        return Stream(self, on_delta)

    # within

    def _may_hold(self, text: str) -> bool:
        """Whether it is worth looking closely; cheap."""
        flat = "".join(text.split()).lower()
        return self._touches(flat) or (not flat.isascii() and any(unseen in flat for unseen in _UNSEEN))

    def _touches(self, flat: str) -> bool:
        """Whether a block of the flat text is in a form; without one there is no hit."""
        block = self._block
        return not self._blocks.isdisjoint([flat[at : at + block] for at in range(0, len(flat) - block + 1, block)])

    def _hits(self, flat: str) -> list[tuple[int, int]]:
        """Where the key is in flat text; what overlaps is one."""
        found: list[tuple[int, int]] = []
        if not self._touches(flat):
            return found
        for at in range(len(flat)):
            least = next((n for form, n in self._forms if len(piece := flat[at : at + n]) == n and piece in form), None)
            if least is None:
                continue
            if found and at <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], at + least))
            else:
                found.append((at, at + least))
        return found

    def _begun(self, flat: str) -> int:
        """How many characters at the end may be the beginning of a hit."""
        if flat[-_HELD:] not in self._beginnings:
            return 0
        for length in range(min(self._longest - 1, len(flat)), _HELD - 1, -1):
            if any(length < least and flat[-length:] in form for form, least in self._forms):
                return length
        return 0


class Stream:
    """Hands text on as it arrives, and keeps back what may be the beginning of the key until that is clear.

    Called with each piece; `end` hands on what was kept back.
    """

    def __init__(self, redaction: Redaction, on_delta: Callable[[str], None]) -> None:
        self._redaction = redaction
        self._on_delta = on_delta
        self._seen = ""  # the last of what was handed on, flat
        self._kept = ""

    def __call__(self, text: str) -> None:
        if not self._redaction._forms:
            self._on_delta(text)
            return
        self._kept += text
        if not self._handed_on_whole():
            self._hand_on(end=False)

    def end(self) -> None:
        """The stream is over, or broke off."""
        if self._kept:
            self._hand_on(end=True)

    def _handed_on_whole(self) -> bool:
        """Hand on what is plain text without any of the key: nearly always, and for a third of what looking closely costs."""
        kept, redaction = self._kept, self._redaction
        flat = "".join(kept.split()).lower()
        if not kept.isascii() or len(kept) - len(flat) > _MOST_SPACES:  # what is not seen, or a gap that parts words
            return False
        recent = self._seen[1 - _HELD :] + flat  # the beginning of a hit that is longer than that was kept back
        if recent[-_HELD:] in redaction._beginnings or redaction._touches(recent):
            return False
        self._seen, self._kept = (self._seen + flat)[-(redaction._longest - 1) :], ""
        self._on_delta(kept)
        return True

    def _hand_on(self, *, end: bool) -> None:
        flat, places = _flat(self._kept)
        before, whole = len(self._seen), self._seen + flat
        hits = self._redaction._hits(whole)
        cut = len(whole) - (0 if end else self._redaction._begun(whole))
        for start, stop in hits:
            if stop > cut:  # it may go on
                cut = start
                break
        cut = max(cut, before)
        stop_at = len(self._kept) if cut == len(whole) else places[cut - before]
        spans = [
            (places[max(start - before, 0)], places[stop - 1 - before] + 1) for start, stop in hits if before < stop <= cut
        ]
        text = _without(self._kept[:stop_at], spans)
        self._kept = self._kept[stop_at:]
        self._seen = whole[:cut][-(self._redaction._longest - 1) :]
        if text:
            self._on_delta(text)


def _forms(key: str) -> Iterator[tuple[str, int]]:
    """Every form the key is looked for in, flat, and how many characters in a row of it are a hit."""
    has_digit = any(character.isdigit() for character in key)
    if len(key) < _LONG:
        if len(key) >= _SHORTEST and has_digit:
            yield key.lower(), len(key)
        return
    public = _PUBLIC.match(key)
    secret = key[max(public.end() - _HELD, 0) :] if public and len(key) - public.end() >= _PIECE else key
    texts = [secret.lower(), secret[::-1].lower(), quote(secret, safe="").lower(), key.encode().hex()]
    # base64 of text in which the key stands: three characters of the one are four of the other, so there are three ways
    for lead in range(3):
        coded = b64encode(b" " * lead + key.encode()).decode()
        inner = coded[4 if lead else 0 : len(coded) - 4]  # without what its neighbours have a part in
        texts += [inner.lower(), inner.lower().translate(str.maketrans("+/", "-_"))]
    texts.append("".join(f"%{byte:02x}" for byte in key.encode()))
    for text in dict.fromkeys(texts):
        yield text, _PIECE if has_digit else len(text)


def _runs(forms: tuple[tuple[str, int], ...], length: int) -> frozenset[str]:
    """Every run of so many characters in a form."""
    return frozenset(form[at : at + length] for form, _ in forms for at in range(len(form) - length + 1))


def _flat(text: str) -> tuple[str, list[int]]:
    """The text in small letters without spaces and what is not seen, and the place of each of its characters."""
    flat: list[str] = []
    places: list[int] = []
    spaces = 0
    for place, character in enumerate(text):
        if character.isspace() or character in _UNSEEN:
            spaces += 1
            if spaces == _MOST_SPACES + 1:  # too far apart to be one word
                flat.append("\n")
                places.append(place)
            continue
        spaces = 0
        small = character.lower()
        flat.append(small if len(small) == 1 else character)
        places.append(place)
    return "".join(flat), places


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], REMOVED]
        at = end
    return "".join([*parts, text[at:]])
