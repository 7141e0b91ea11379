"""The generateContent dialect of Gemini.

Source: the Gemini API reference (generateContent, structured output, thinking, errors), read in 2026-11. The version of
the path is v1beta, which the newest fields are in first; a base URL that ends in a version keeps its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from molt_magic.providers.exchange import Wire
from molt_magic.providers.faults import Fault, Said, words
from molt_magic.providers.parts import (
    arguments_of,
    data_url,
    functions_of,
    image_url,
    parts_of,
    response_schema,
    tool_call,
    wants_json,
)
from molt_magic.providers.sound import count, or_unknown
from molt_magic.providers.sse import Event
from molt_magic.providers.vendors import Endpoint
from molt_magic.types import Call, Completion, Message, ModelSpec, Usage

_FILTERED = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT")
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", **dict.fromkeys(_FILTERED, "content_filter")}
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
# in OpenAI's names, and without a counterpart here
_UNKNOWN = frozenset({"logit_bias", "n", "stream_options", "store", "user", "parallel_tool_calls"})
_OWN = frozenset(
    {"stream", "stop", "tools", "tool_choice", "response_format", "reasoning_effort", "generationConfig", *_CONFIG}
)
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}  # tokens, for models before Gemini 3
_VERSIONED = re.compile(r"/v\d+(alpha|beta)?$")


class GeminiDialect:
    """generateContent and streamGenerateContent."""

    name = "gemini"

    def request(self, spec: ModelSpec, endpoint: Endpoint, call: Call, *, stream: bool) -> Wire:
        params = {key: value for key, value in call.params.items() if value is not None}
        body: dict[str, Any] = {"contents": _contents(call.messages)}
        system = [message.text for message in call.messages if message.role == "system" and message.text]
        if system:
            body["systemInstruction"] = {"parts": [{"text": text} for text in system]}
        config = _config(spec, call, params)
        if config:
            body["generationConfig"] = config
        if params.get("tools"):
            body |= _tools(params)
        body |= {key: value for key, value in params.items() if key not in _OWN | _UNKNOWN}  # safetySettings, ...
        base = endpoint.base_url if _VERSIONED.search(endpoint.base_url) else f"{endpoint.base_url}/v1beta"
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        headers = {"x-goog-api-key": endpoint.key} if endpoint.key else {}
        return Wire(f"{base}/models/{quote(spec.model.removeprefix('models/'))}:{method}", headers, body)

    def reader(self, spec: ModelSpec) -> ContentReader:
        return ContentReader(spec)

    def whole(self, spec: ModelSpec, data: Any) -> Completion:
        reader = ContentReader(spec)
        for chunk in data if isinstance(data, list) else [data]:  # a stream that is asked for without SSE is an array
            reader.take(chunk)
        if not reader.done:
            raise KeyError("finishReason")
        return reader.completion()

    def fault(self, status: int, data: Any) -> Fault:
        return read_fault(status, data)


class ContentReader:
    """Puts the chunks of a stream together. A finish reason makes it whole; counts may follow until the stream ends."""

    ended = False

    def __init__(self, spec: ModelSpec) -> None:
        self.done = False
        self._model = spec.model
        self._text: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._logprobs: list[float] = []
        self._usage: dict[str, Any] = {}
        self._finish: str | None = None

    def feed(self, event: Event) -> str:
        return self.take(json.loads(event.data))

    def take(self, data: Any) -> str:
        """A chunk; returns its text."""
        if isinstance(data, list) or data.get("error"):
            raise Said(read_fault(200, data))
        self._model = data.get("modelVersion") or self._model
        self._usage |= {key: value for key, value in (data.get("usageMetadata") or {}).items() if value is not None}
        blocked = (data.get("promptFeedback") or {}).get("blockReason")
        if blocked:
            raise Said(Fault(400, f"the prompt was blocked ({blocked})", frozenset({"content_filter"})))
        if not data.get("candidates"):
            if self._usage:
                return ""  # a chunk of counts only
            raise KeyError("candidates")
        candidate = data["candidates"][0]
        text = "".join(self._part(part) for part in (candidate.get("content") or {}).get("parts") or ())
        self._text.append(text)
        for token in (candidate.get("logprobsResult") or {}).get("chosenCandidates") or ():
            self._logprobs.append(float(token["logProbability"]))
        self._finish = candidate.get("finishReason") or self._finish
        self.done = self._finish is not None
        return text

    def _part(self, part: Mapping[str, Any]) -> str:
        if part.get("functionCall"):
            wanted = part["functionCall"]
            arguments = json.dumps(wanted.get("args") or {}, ensure_ascii=False)
            call = tool_call(wanted.get("id") or f"call_{len(self._calls)}", wanted["name"], arguments)
            if part.get("thoughtSignature"):  # Gemini 3 wants it back; kept where its compatible endpoint keeps it
                call["extra_content"] = {"google": {"thought_signature": part["thoughtSignature"]}}
            self._calls.append(call)
            return ""
        return "" if part.get("thought") else part.get("text") or ""

    def completion(self) -> Completion:
        finish = _FINISH.get(self._finish or "", "other")
        if finish == "stop" and self._calls:
            finish = "tool_calls"
        return Completion(
            text="".join(self._text),
            model=self._model,
            usage=read_usage(self._usage) if self.done else Usage(),
            finish_reason=finish if self.done else "interrupted",
            logprobs=tuple(self._logprobs) or None,
            tool_calls=tuple(self._calls),
        )


@or_unknown
def read_usage(said: Mapping[str, Any]) -> Usage:
    """Usage; thoughts are counted beside the candidates' tokens, and billed as output."""
    thoughts = count(said.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=count(said.get("promptTokenCount")) + count(said.get("toolUsePromptTokenCount")),
        output_tokens=count(said.get("candidatesTokenCount")) + thoughts,
        cached_tokens=count(said.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )


def read_fault(status: int, data: Any) -> Fault:
    """An error body; a 429 says in its details whether waiting helps."""
    if isinstance(data, list):
        data = data[0]
    if isinstance(data, str):
        return Fault(status, data)
    error = data["error"]
    if status < 300:
        status = error.get("code") or 500
    details = [detail for detail in error.get("details") or () if isinstance(detail, Mapping)]
    wait = next((_seconds(detail["retryDelay"]) for detail in details if detail.get("retryDelay")), None)
    daily = any("PerDay" in str(violation.get("quotaId")) for d in details for violation in d.get("violations") or ())
    return Fault(
        status,
        error.get("message") or str(error.get("status")),
        words(error.get("status"), *(detail.get("reason") for detail in details)) - {"resource_exhausted"},
        retry_after_s=wait,
        passes=not daily if status == 429 else None,
    )


def _seconds(duration: Any) -> float | None:
    try:
        return float(str(duration).removesuffix("s"))
    except ValueError:
        return None


def _config(spec: ModelSpec, call: Call, params: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = dict(params.get("generationConfig") or {})
    config |= {_CONFIG[key]: params[key] for key in _CONFIG if key in params}
    if "stop" in params:
        config["stopSequences"] = [params["stop"]] if isinstance(params["stop"], str) else list(params["stop"])
    if "reasoning_effort" in params:
        effort = params["reasoning_effort"]
        before_3 = re.match(r"gemini-[12]\b", spec.model) is not None
        config["thinkingConfig"] = {"thinkingBudget": _BUDGETS.get(effort, -1)} if before_3 else {"thinkingLevel": effort}
    schema = response_schema(params, call.schema)
    if schema is not None or wants_json(params):
        config["responseMimeType"] = "application/json"
    if schema is not None:
        config["responseJsonSchema"] = dict(schema)
    return config


def _contents(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Turns of user and model. A tool's result names the function, which only the call that asked for it knows."""
    names = {call["id"]: call["function"]["name"] for message in messages for call in message.tool_calls}
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "model" if message.role == "assistant" else "user"
        if message.role == "tool":
            name = names.get(message.tool_call_id or "", message.tool_call_id)
            parts: list[dict[str, Any]] = [{"functionResponse": {"name": name, "response": {"result": message.text}}}]
        else:
            parts = [_part(part) for part in parts_of(message)] + [_call_part(call) for call in message.tool_calls]
        if message.role == "tool" and turns and "functionResponse" in turns[-1]["parts"][-1]:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": role, "parts": parts or [{"text": ""}]})
    return turns


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"text": part["text"]}
    url = image_url(part, "gemini")
    inline = data_url(url)
    if inline is None:
        return {"fileData": {"fileUri": url}}
    return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}


def _call_part(call: Mapping[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"name": call["function"]["name"], "args": arguments_of(call, "gemini")}}
    signature = call.get("extra_content", {}).get("google", {}).get("thought_signature")
    if signature:
        part["thoughtSignature"] = signature
    return part


def _tools(params: Mapping[str, Any]) -> dict[str, Any]:
    declarations = [
        {
            "name": function["name"],
            "description": function.get("description", ""),
            **({"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {}),
        }
        for function in functions_of(params["tools"])
    ]
    found: dict[str, Any] = {"tools": [{"functionDeclarations": declarations}]}
    choice = params.get("tool_choice")
    if isinstance(choice, Mapping):
        calling = {"mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}
        found["toolConfig"] = {"functionCallingConfig": calling}
    elif choice is not None:
        found["toolConfig"] = {"functionCallingConfig": {"mode": _MODES.get(choice, "AUTO")}}
    return found
