"""A server that sends the key it was given back, in every place of every dialect, whole and disguised; and a look for it."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.providers.dialects import ANTHROPIC, GEMINI, OPENAI, Wire, sse
from tests.servers import Answer, Asked, Server, as_json, head, stream, whole

KEYS = {
    "OPENAI_API_KEY": "sk-proj-canaryQ7w9E2r4T6y8U1i3O5p0A2s4D6f8G1h3",
    "ANTHROPIC_API_KEY": "sk-ant-api03-canaryZ1x3C5v7B9n2M4k6J8h1G3f5D7s9",
    "GOOGLE_API_KEY": "AIzaCanaryL2k4J6h8G1f3D5s7A9p2O4i6U8y1",
    "OUR_GATEWAY_TOKEN": "canary/0f9e8d7c+6b5a4f3e=2d1c0b9a8f7e",  # of no vendor's making, and quoted in URLs
}
DOTENV = {"DOTENV_TOKEN": "canary-5e4d3c2b1a0f9e8d7c6b5a4f"}
EVERY_KEY = (*KEYS.values(), *DOTENV.values())

DISGUISES: Mapping[str, Callable[[str], str]] = {
    "whole": lambda key: key,
    "upper": str.upper,
    "spaced": " ".join,
    "reversed": lambda key: key[::-1],
    "base64": lambda key: b64encode(key.encode()).decode(),
    "base64 of the header": lambda key: urlsafe_b64encode(f"Bearer {key}".encode()).decode(),
    "hexadecimal": lambda key: key.encode().hex(),
    "quoted": lambda key: quote(key, safe=""),
    "percent": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "first part": lambda key: key[: len(key) // 2 + 1],
    "last part": lambda key: key[len(key) // 2 :],
}


def disguised(key: str) -> str:
    """The key in every disguise, one after the other."""
    return " | ".join(f"{name}: {form(key)}" for name, form in DISGUISES.items())


@dataclass
class Hostile(Server):
    """The path begins with `/HOW/PROVIDER`; HOW is one of `MANNERS`."""

    elsewhere: str = ""

    def choose(self, asked: Asked) -> Answer:
        _, how, provider, *_ = asked.path.split("?")[0].split("/")
        key = asked.headers.get("authorization", "").removeprefix("Bearer ")
        key = key or asked.headers.get("x-api-key") or asked.headers.get("x-goog-api-key") or "no key came"
        echo = {"x-echo": key, "x-request-id": key, "retry-after": key, "server": key, "set-cookie": f"k={key}"}
        return MANNERS[how](_BY_PROVIDER[provider], key, echo, asked, self)


_BY_PROVIDER = {"openai": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI}


def _streams(asked: Asked) -> bool:
    return "streamGenerateContent" in asked.path or bool(asked.body and asked.json.get("stream"))


def _filled(value: Any, text: str, key: str) -> Any:
    """A dialect's own answer with `text` for its text, and the key wherever a server names something."""
    if isinstance(value, dict):
        return {name: key if name in _NAMES else _filled(part, text, key) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, text, key) for part in value]
    return text if value == "Hello wörld" else value


_NAMES = frozenset({"model", "modelVersion", "id", "system_fingerprint"})


def _pieces(wire: Wire, text: str, size: int = 5) -> Iterator[str]:
    """Events with the text in small pieces."""
    template = wire.pieces[0]
    for at in range(0, len(text), size):
        yield template.replace(json.dumps("Hello ")[1:-1], json.dumps(text[at : at + size])[1:-1])


def _named(events: list[str], key: str) -> list[str]:
    return [event.replace("gpt-4o-served", key).replace('"id": "c"', f'"id": "{key}"') for event in events]


def _answer(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    text = f"The answer is 4. {disguised(key)}. That is all."
    if not _streams(asked):
        return as_json(200, _filled(wire.whole, text, key), echo)
    return stream(_named([*wire.opening, *_pieces(wire, text), *wire.ending], key))


def _broken(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    return stream(_named([*wire.opening, *_pieces(wire, f"Half of it: {disguised(key)}")], key), cut=True)


def _in_stream(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    error = sse(wire.error(500, f"went wrong with {disguised(key)}", key), "error")
    return stream(_named([*wire.opening, *_pieces(wire, f"Half: {key}"), error], key))


def _status(status: int) -> Callable[..., Answer]:
    def answer(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
        return as_json(status, wire.error(status, f"no: {disguised(key)}", key), echo)

    return answer


def _text(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    return whole(500, f"broken: {disguised(key)}", {"content-type": key, **echo})


def _not_json(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    return whole(200, f"{{broken: {disguised(key)}", {"content-type": "application/json", **echo})


def _shapeless(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    return as_json(200, {key: [disguised(key)], "choices": {key: key}, "content": key, "candidates": key}, echo)


def _redirect(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    return whole(307, f"moved: {key}", {**echo, "location": f"{server.elsewhere}/?key={key}"})


def _no_http(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    return Answer([f"HTTP/1.1 OK {key}\r\n{key}\r\n\r\n".encode()])


def _bad_header(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    return Answer([head(200, {})[:-2] + f"{key} without a colon\r\n\r\n".encode()])


def _usage(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    """The key, and absurd numbers, where counts are."""

    def odd(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {part: odd(each, part) for part, each in value.items()}
        if isinstance(value, list):
            return [odd(part) for part in value]
        return key if name in ("cached_tokens", "reasoning_tokens", "thinking_tokens", "thoughtsTokenCount") else value

    return as_json(200, odd(wire.whole))


def _tools(wire: Wire, key: str, echo: Mapping[str, str], asked: Asked, server: Hostile) -> Answer:
    data = json.loads(json.dumps(wire.whole))
    arguments = {key: disguised(key)}
    if wire is OPENAI:
        call = {"id": key, "type": "function", "function": {"name": key, "arguments": json.dumps(arguments)}}
        data["choices"][0] |= {"message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": key}
    elif wire is ANTHROPIC:
        data |= {"content": [{"type": "tool_use", "id": key, "name": key, "input": arguments}], "stop_reason": key}
    else:
        part = {"functionCall": {"id": key, "name": key, "args": arguments}}
        data["candidates"][0] |= {"content": {"role": "model", "parts": [part]}, "finishReason": key}
    return as_json(200, data, echo)


MANNERS: Mapping[str, Callable[..., Answer]] = {
    "answer": _answer,
    "broken": _broken,
    "in-stream": _in_stream,
    "400": _status(400),
    "401": _status(401),
    "404": _status(404),
    "429": _status(429),
    "500": _status(500),
    "text": _text,
    "not-json": _not_json,
    "shapeless": _shapeless,
    "redirect": _redirect,
    "no-http": _no_http,
    "bad-header": _bad_header,
    "usage": _usage,
    "tools": _tools,
}

_ENOUGH = 12  # characters of a key in a row
_BLOCK = 6  # as long a row holds one of these whole, wherever a text is cut into them


@cache
def _runs(keys: tuple[str, ...]) -> tuple[dict[str, str], frozenset[str]]:
    """Every row of characters that gives a key away -> which disguise of which key it is of; and the blocks of them."""
    found: dict[str, str] = {}
    for key in keys:
        for name, form in DISGUISES.items():
            shown = "".join(form(key).split()).lower()
            plain = name in ("whole", "upper", "spaced", "quoted", "first part")
            own = 20 if name == "base64 of the header" else 13 if plain else 0  # behind what every such key begins with
            for at in range(own, len(shown) - _ENOUGH + 1):
                found[shown[at : at + _ENOUGH]] = f"{name} of {key[:10]}..."
    return found, frozenset(run[at : at + _BLOCK] for run in found for at in range(_ENOUGH - _BLOCK + 1))


def traces(text: str | bytes, keys: tuple[str, ...] = EVERY_KEY) -> list[str]:
    """The disguises in which a piece of a key is in a text."""
    runs, blocks = _runs(keys)
    texts = [text] if isinstance(text, str) else [text.decode("utf-8", "replace"), text.decode("utf-16-le", "ignore")]
    found = set()
    for each in texts:
        flat = "".join(each.split()).lower()
        if not blocks.isdisjoint([flat[at : at + _BLOCK] for at in range(0, len(flat), _BLOCK)]):
            found |= {runs[run] for at in range(len(flat)) if (run := flat[at : at + _ENOUGH]) in runs}
    return sorted(found)


def traces_in(folder: Path) -> dict[str, list[str]]:
    """File -> the disguises in which a piece of a key is in it or in its name."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != ".env"]
    looked = {str(file.relative_to(folder)): traces(file.read_bytes()) + traces(str(file)) for file in files}
    return {name: found for name, found in looked.items() if found}
