"""Content parts and tool calls in OpenAI's form, taken apart for dialects that write them in another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from molt_magic.errors import BadRequest
from molt_magic.types import Message


def parts_of(message: Message) -> list[Mapping[str, Any]]:
    """The parts of a message; text that is empty is none."""
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content else []
    return [part for part in message.content if part.get("type") != "text" or part.get("text")]


def image_url(part: Mapping[str, Any], provider: str) -> str:
    """The URL of an image part. Raises BadRequest for parts of another kind."""
    if part.get("type") != "image_url":
        raise BadRequest(
            f"{provider} is not sent parts of type {part.get('type')!r}.",
            provider=provider,
            fix="Send text and image_url parts, or use a model of an OpenAI-compatible API.",
        )
    image = part["image_url"]
    return str(image["url"] if isinstance(image, Mapping) else image)


def data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 data of a data URL; None for an address."""
    if not url.startswith("data:"):
        return None
    head, _, data = url[5:].partition(",")
    return head.removesuffix(";base64") or "image/png", data


def arguments_of(call: Mapping[str, Any], provider: str) -> Any:
    """The arguments of a tool call, parsed. Raises BadRequest where a model wrote none that can be."""
    text = call["function"].get("arguments") or "{}"
    try:
        return json.loads(text)
    except ValueError:
        name = call["function"].get("name")
        raise BadRequest(
            f"The arguments of the tool call {name!r} in the messages are not JSON.",
            provider=provider,
            fix="Leave that turn out, or repair it.",
        ) from None


def tool_call(identifier: str, name: str, arguments: str) -> dict[str, Any]:
    """A tool call in OpenAI's form."""
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def functions_of(tools: Any) -> list[Mapping[str, Any]]:
    """The functions among the tools of a request."""
    return [tool["function"] for tool in tools or () if tool.get("type") == "function"]


def response_schema(params: Mapping[str, Any], schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The schema an answer must follow: the call's own, else the one of an OpenAI `response_format`."""
    if schema is not None:
        return schema
    wanted = params.get("response_format") or {}
    found = (wanted.get("json_schema") or {}).get("schema")
    return found if isinstance(found, Mapping) else None


def wants_json(params: Mapping[str, Any]) -> bool:
    """Whether OpenAI's JSON mode is asked for: any JSON, no schema."""
    return (params.get("response_format") or {}).get("type") == "json_object"
