"""What is sent: messages, parameters, tools, images and schemas, in each dialect; and where it is sent."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from molt_magic.config import load_settings
from molt_magic.errors import BadRequest, UnknownName
from molt_magic.providers import Missing, Providers
from molt_magic.providers.anthropic import AnthropicDialect
from molt_magic.providers.exchange import Dialect, Wire
from molt_magic.providers.gemini import GeminiDialect
from molt_magic.providers.openai import OpenAIDialect
from molt_magic.providers.schemas import can_close, closed, is_strict
from molt_magic.providers.vendors import Endpoint, locate, vendor_of
from molt_magic.types import Call, Deployment, Message, ModelSpec
from tests.providers.conftest import settings

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"title": "An answer", "type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "of a city", "parameters": {"type": "object", "properties": {"city": {}}}},
}
CALLED = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
TALK = (
    Message("system", "Be brief."),
    Message("user", ({"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}})),
    Message("assistant", "", tool_calls=(CALLED,)),
    Message("tool", "21 C", tool_call_id="c1"),
)


def sent(dialect: Dialect, spec: ModelSpec, messages: tuple[Message, ...] = (Message("user", "Hi"),), **params: Any) -> Wire:
    schema = params.pop("schema", None)
    stream = params.get("stream", True)
    endpoint = locate(spec, (spec.deployments or (Deployment("d"),))[0], {"ANTHROPIC_AUTH_TOKEN": "t"}.get)
    if isinstance(endpoint, Missing):
        endpoint = Endpoint(vendor_of(spec).base_url or "", "k", None, vendor_of(spec))
    return dialect.request(spec, endpoint, Call("m", messages, params=params, schema=schema), stream=stream)


def gpt(**changes: Any) -> ModelSpec:
    return ModelSpec(**{"name": "m", "provider": "openai", "model": "gpt-5", "vendor": "openai", **changes})


CLAUDE = ModelSpec("m", "anthropic", "claude", vendor="anthropic")
GEMINI = ModelSpec("m", "gemini", "gemini-3.8-flash", vendor="google")


# -- OpenAI -------------------------------------------------------------------------------------------------------------


def at(url: str, **changes: Any) -> ModelSpec:
    return gpt(deployments=(Deployment("d", base_url=url),), **changes)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (gpt(), "max_completion_tokens"),
        (gpt(vendor="moonshotai", model="kimi"), "max_completion_tokens"),
        (at("http://127.0.0.1:1/v1", model="gpt-5-mini"), "max_completion_tokens"),
        (gpt(vendor="deepseek", model="deepseek-chat"), "max_tokens"),
        (gpt(vendor="ollama", model="qwen"), "max_tokens"),
        (gpt(vendor="llamacpp", model="qwen"), "max_tokens"),
        (gpt(vendor="vllm", model="qwen"), "max_tokens"),
        (gpt(vendor="openrouter", model="qwen"), "max_tokens"),
        (gpt(vendor="google", model="gemini"), "max_tokens"),
        (gpt(vendor="my-company", model="qwen", deployments=(Deployment("d", base_url="http://127.0.0.1:1"),)), "max_tokens"),
        (at("http://127.0.0.1:1/v1", model="qwen2.5"), "max_tokens"),
        (at("http://127.0.0.1:1/v1", model="gpt-oss:20b"), "max_tokens"),
    ],
)
@pytest.mark.parametrize("given", ["max_tokens", "max_completion_tokens"])
def test_the_limit_has_the_name_that_the_server_knows(spec: ModelSpec, name: str, given: str) -> None:
    body = sent(OpenAIDialect(), spec, **{given: 7}).body
    assert {key: body[key] for key in body if key.startswith("max_")} == {name: 7}


def test_openai_is_sent_everything_as_it_is() -> None:
    wire = sent(OpenAIDialect(), gpt(), TALK, temperature=0.5, tools=[WEATHER], logprobs=True, seed=None)
    assert wire.url == "https://api.openai.com/v1/chat/completions"
    assert wire.body == {
        "model": "gpt-5",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [CALLED]},
            {"role": "tool", "content": "21 C", "tool_call_id": "c1"},
        ],
        "temperature": 0.5,
        "tools": [WEATHER],
        "logprobs": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_call_that_is_not_streamed_says_nothing_of_streams() -> None:
    assert set(sent(OpenAIDialect(), gpt(), stream=False).body) == {"model", "messages"}


def test_a_schema_becomes_a_response_format_strict_where_it_can_be() -> None:
    loose = sent(OpenAIDialect(), gpt(), schema=SCHEMA).body["response_format"]
    assert loose == {"type": "json_schema", "json_schema": {"name": "An_answer", "schema": SCHEMA, "strict": False}}
    strict = sent(OpenAIDialect(), gpt(), schema={**SCHEMA, "additionalProperties": False}).body["response_format"]
    assert strict["json_schema"]["strict"] is True


def test_a_vendor_without_schemas_is_told_in_the_one_system_prompt() -> None:
    spec = gpt(vendor="deepseek", model="deepseek-chat")
    body = sent(OpenAIDialect(), spec, TALK, schema=SCHEMA).body
    assert body["response_format"] == {"type": "json_object"}
    system = [message["content"] for message in body["messages"] if message["role"] == "system"]
    assert len(system) == 1
    assert system[0].startswith("Be brief.")
    assert "JSON schema" in system[0]
    body = sent(OpenAIDialect(), spec, schema=SCHEMA).body
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


# -- Anthropic ----------------------------------------------------------------------------------------------------------


def test_anthropic_is_sent_its_own_blocks() -> None:
    wire = sent(AnthropicDialect(), CLAUDE, TALK, tools=[WEATHER], tool_choice="required", stop="END", logprobs=True, seed=1)
    assert wire.url == "https://api.anthropic.com/v1/messages"
    assert wire.body == {
        "model": "claude",
        "max_tokens": 4096,
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                ],
            },
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "21 C"}]}],
            },
        ],
        "tools": [
            {"name": "weather", "description": "of a city", "input_schema": {"type": "object", "properties": {"city": {}}}}
        ],
        "tool_choice": {"type": "any"},
        "stop_sequences": ["END"],
        "stream": True,
    }


def test_anthropic_answers_have_a_limit_that_the_model_takes() -> None:
    def limit(spec: ModelSpec, **params: Any) -> int:
        return int(sent(AnthropicDialect(), spec, **params).body["max_tokens"])

    assert limit(ModelSpec("m", "anthropic", "claude", max_output=8192)) == 8192
    assert limit(ModelSpec("m", "anthropic", "claude", max_output=128_000)) == 32_000
    assert limit(CLAUDE, max_tokens=9) == limit(CLAUDE, max_completion_tokens=9) == 9


def test_a_token_goes_with_the_version_that_takes_it_and_refuses_sampling() -> None:
    spec = ModelSpec("m", "anthropic", "c", deployments=(Deployment("d", api_key_env="ANTHROPIC_AUTH_TOKEN"),))
    wire = sent(AnthropicDialect(), spec, temperature=0.1)
    assert wire.headers == {"authorization": "Bearer t", "anthropic-version": "2026-10-21"}
    assert "temperature" not in wire.body


def test_a_key_goes_with_the_version_that_takes_sampling_parameters() -> None:
    endpoint = Endpoint("https://api.anthropic.com/v1", "k", "ANTHROPIC_API_KEY", vendor_of(CLAUDE))
    call = Call("m", (Message("user", "Hi"),), params={"temperature": 1.5})
    wire = AnthropicDialect().request(CLAUDE, endpoint, call, stream=True)
    assert wire.headers == {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    assert wire.body["temperature"] == 1.0
    assert wire.url == "https://api.anthropic.com/v1/messages"


def test_an_anthropic_schema_is_closed_and_its_other_rules_are_told_in_words() -> None:
    body = sent(AnthropicDialect(), CLAUDE, schema=SCHEMA).body
    schema = body["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["n"] == {"type": "integer", "description": '{"minimum": 1}'}
    assert "system" not in body


def test_an_anthropic_schema_of_any_keys_is_told_in_the_system_prompt() -> None:
    body = sent(AnthropicDialect(), CLAUDE, schema={"type": "object", "additionalProperties": {"type": "integer"}}).body
    assert "output_config" not in body
    assert "JSON schema" in body["system"]


# -- Gemini -------------------------------------------------------------------------------------------------------------


def test_gemini_is_sent_its_own_parts() -> None:
    wire = sent(GeminiDialect(), GEMINI, TALK, tools=[WEATHER], tool_choice="auto", max_tokens=9, stop=["a"], logprobs=True)
    assert wire.url == (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    )
    assert wire.body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "What is it?"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
            },
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Paris"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "21 C"}}}]},
        ],
        "generationConfig": {"maxOutputTokens": 9, "responseLogprobs": True, "stopSequences": ["a"]},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "weather",
                        "description": "of a city",
                        "parametersJsonSchema": {"type": "object", "properties": {"city": {}}},
                    }
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    }


def test_gemini_takes_a_schema_as_it_is() -> None:
    config = sent(GeminiDialect(), GEMINI, schema=SCHEMA).body["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}


@pytest.mark.parametrize(
    ("model", "thinking"), [("gemini-3.8-flash", {"thinkingLevel": "low"}), ("gemini-2.5-pro", {"thinkingBudget": 1024})]
)
def test_gemini_thinks_as_hard_as_its_generation_can_be_told(model: str, thinking: dict[str, Any]) -> None:
    spec = ModelSpec("m", "gemini", model)
    assert sent(GeminiDialect(), spec, reasoning_effort="low").body["generationConfig"] == {"thinkingConfig": thinking}


def test_a_gemini_thought_signature_goes_back() -> None:
    signed = {**CALLED, "extra_content": {"google": {"thought_signature": "abc"}}}
    body = sent(GeminiDialect(), GEMINI, (Message("user", "q"), Message("assistant", "", tool_calls=(signed,)))).body
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == "abc"


def test_a_gemini_address_with_a_version_keeps_it() -> None:
    spec = ModelSpec("m", "gemini", "models/g", deployments=(Deployment("d", base_url="http://127.0.0.1:1/v1/"),))
    assert sent(GeminiDialect(), spec, stream=False).url == "http://127.0.0.1:1/v1/models/g:generateContent"


# -- what cannot be said --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dialect", "spec"), [(AnthropicDialect(), CLAUDE), (GeminiDialect(), GEMINI)])
def test_parts_and_calls_that_a_dialect_cannot_say_are_refused(dialect: Dialect, spec: ModelSpec) -> None:
    with pytest.raises(BadRequest, match="input_audio"):
        sent(dialect, spec, (Message("user", ({"type": "input_audio"},)),))
    broken = {**CALLED, "function": {"name": "weather", "arguments": "{"}}
    with pytest.raises(BadRequest, match="weather"):
        sent(dialect, spec, (Message("assistant", "", tool_calls=(broken,)),))


def test_a_schema_is_strict_only_when_every_object_is_closed_and_required() -> None:
    inner = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
    assert is_strict({"type": "array", "items": inner})
    assert is_strict({"$defs": {"x": inner}, "anyOf": [inner]})
    assert not is_strict({"type": "array", "items": {**inner, "required": []}})
    assert not is_strict({"$defs": {"x": {**inner, "additionalProperties": True}}})


def test_closing_a_schema_reaches_every_object_and_forbids_no_map() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "string", "format": "color", "default": "red"}}}
    done = closed({"$schema": "s", "$defs": {"x": inner}, "oneOf": [inner, {"type": "array", "items": inner, "minItems": 3}]})
    assert "$schema" not in done
    for reached in (done["$defs"]["x"], done["anyOf"][0], done["anyOf"][1]["items"]):
        assert reached["additionalProperties"] is False
        assert reached["properties"]["a"] == {"type": "string", "description": '{"format": "color", "default": "red"}'}
    assert can_close(inner)
    assert not can_close({"type": "array", "items": {"type": "object"}})
    assert not can_close({"type": "object", "properties": {"a": {"additionalProperties": {"type": "string"}}}})


# -- addresses and keys ---------------------------------------------------------------------------------------------------


def where(spec: ModelSpec, **secrets: str) -> Endpoint | Missing:
    return locate(spec, (spec.deployments or (Deployment("d"),))[0], secrets.get)


@pytest.mark.parametrize(
    ("spec", "secrets", "base_url", "key"),
    [
        (gpt(), {"OPENAI_API_KEY": "k"}, "https://api.openai.com/v1", "k"),
        (gpt(), {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://gate.example/v1/"}, "https://gate.example/v1", "k"),
        (gpt(), {"OPENAI_BASE_URL": "http://127.0.0.1:4000/v1"}, "http://127.0.0.1:4000/v1", None),
        (gpt(vendor="deepseek"), {"DEEPSEEK_API_KEY": "k", "OPENAI_BASE_URL": "x"}, "https://api.deepseek.com", "k"),
        (gpt(vendor="moonshotai"), {"MOONSHOT_API_KEY": "k"}, "https://api.moonshot.ai/v1", "k"),
        (gpt(vendor="openrouter"), {"OPENROUTER_API_KEY": "k"}, "https://openrouter.ai/api/v1", "k"),
        (
            gpt(vendor="google"),
            {"GEMINI_API_KEY": "second", "GOOGLE_API_KEY": "first"},
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "first",
        ),
        (gpt(vendor="ollama"), {}, "http://127.0.0.1:11434/v1", None),
        (gpt(vendor="ollama"), {"OLLAMA_HOST": "0.0.0.0:7000"}, "http://127.0.0.1:7000/v1", None),
        (gpt(vendor="ollama"), {"OLLAMA_HOST": "https://box.example"}, "https://box.example:443/v1", None),
        (gpt(vendor="vllm"), {}, "http://127.0.0.1:8000/v1", None),
        (gpt(vendor="llamacpp"), {}, "http://127.0.0.1:8080/v1", None),
        (at("http://127.0.0.1:1/v1"), {"OPENAI_API_KEY": "not for this server"}, "http://127.0.0.1:1/v1", None),
        (CLAUDE, {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"}, "https://api.anthropic.com", "k"),
        (CLAUDE, {"ANTHROPIC_AUTH_TOKEN": "t", "ANTHROPIC_BASE_URL": "https://g.example"}, "https://g.example", "t"),
        (GEMINI, {"GEMINI_API_KEY": "k", "GOOGLE_GEMINI_BASE_URL": "https://g.example"}, "https://g.example", "k"),
    ],
)
def test_a_vendor_is_reached_at_its_address_with_its_key(
    spec: ModelSpec, secrets: dict[str, str], base_url: str, key: str | None
) -> None:
    found = where(spec, **secrets)
    assert isinstance(found, Endpoint)
    assert (found.base_url, found.key) == (base_url, key)


def test_an_endpoint_does_not_show_its_key() -> None:
    assert "the-key" not in repr(where(gpt(), OPENAI_API_KEY="the-key"))


@pytest.mark.parametrize(
    ("spec", "reason", "fix"),
    [
        (gpt(), "OPENAI_API_KEY is not set", "set OPENAI_API_KEY in the environment or a .env file"),
        (
            CLAUDE,
            "ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN is not set",
            "set ANTHROPIC_API_KEY in the environment or a .env file",
        ),
        (GEMINI, "GOOGLE_API_KEY or GEMINI_API_KEY is not set", "set GOOGLE_API_KEY in the environment or a .env file"),
        (
            gpt(deployments=(Deployment("d", base_url="http://127.0.0.1:1", api_key_env="MINE"),)),
            "MINE is not set",
            "set MINE in the environment or a .env file",
        ),
        (gpt(vendor="my-company"), "no address is known for vendor 'my-company'", "set base_url in [models.m]"),
    ],
)
@pytest.mark.anyio
async def test_what_is_missing_is_said_with_the_fix(spec: ModelSpec, reason: str, fix: str) -> None:
    providers = Providers(settings())
    assert providers.missing(spec) == Missing(reason, fix)
    served = await providers.perform(spec, Call("m", (Message("user", "Hi"),)), on_delta=lambda text: None)
    assert served.error is not None
    assert reason in served.error.message
    assert served.error.kind == "bad_key"
    await providers.aclose()


def test_a_model_is_ready_when_one_of_its_deployments_is() -> None:
    deployments = (Deployment("a", api_key_env="A"), Deployment("b", api_key_env="B"))
    spec = gpt(deployments=deployments)
    assert Providers(settings()).missing(spec) is not None
    assert Providers(settings({"B": "k"})).missing(spec) is None


def test_a_provider_that_does_not_exist_is_an_error_that_names_those_that_do() -> None:
    with pytest.raises(UnknownName, match="anthropic"):
        Providers(settings()).missing(ModelSpec("m", "antropic", "m"))


async def _used() -> Providers:
    providers = Providers(settings())
    providers.missing(gpt())
    await providers.perform(gpt(), Call("m", (Message("user", "Hi"),)), on_delta=lambda text: None)
    return providers


@pytest.mark.anyio
async def test_providers_are_closed_from_within_a_running_loop() -> None:
    (await _used()).close()


def test_providers_are_closed_from_outside_any_loop() -> None:
    asyncio.run(_used()).close()


def test_a_model_behind_an_api_cannot_be_pulled() -> None:
    assert Providers(settings()).can_pull(gpt()) is False


def test_real_settings_are_what_the_providers_need(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-the-file\n")
    found = load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path)}, overrides={"network.total_s": 7})
    providers = Providers(found)
    assert providers.missing(gpt()) is None
    assert isinstance(providers.missing(CLAUDE), Missing)
    assert providers.transport.total_s == 7


def test_importing_the_providers_loads_nothing_heavy() -> None:
    script = "import sys, molt_magic.providers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "ipywidgets", "tiktoken", "genai_prices", "wordllama", "onnxruntime", "numpy", "xllamacpp"} & set(
        loaded
    )
