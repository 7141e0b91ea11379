"""The models, the routing table and the ladder in force."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from molt_magic.catalog.prices import estimate_usd
from molt_magic.catalog.tables import read_model, read_route, unknown_model
from molt_magic.errors import UnknownName
from molt_magic.types import ModelSpec, Route

_NONE: Mapping[str, Any] = MappingProxyType({})


def _none() -> Mapping[str, Any]:
    return _NONE


@dataclass(frozen=True, slots=True)
class Catalog:
    """What ships, and what the user's file adds to it or changes."""

    models: Mapping[str, ModelSpec]  # cheap to dear
    routes: Mapping[str, Route]  # task -> its row
    ladder: tuple[str, ...]  # the cascade's rungs, cheap to dear
    ladders: Mapping[str, tuple[str, ...]] = field(default_factory=_none)  # of tasks that have one of their own

    @classmethod
    def load(
        cls,
        *,
        models: Mapping[str, Mapping[str, Any]] = _NONE,
        routes: Mapping[str, Mapping[str, Any]] = _NONE,
        ladder: tuple[str, ...] | None = None,
        ladders: Mapping[str, tuple[str, ...]] = _NONE,
        shipped: bool = True,
        local_context_tokens: int | None = None,
        found: Iterable[ModelSpec] = (),
    ) -> Catalog:
        """Read the catalog.

        Args:
            models: the user's `[models.NAME]` tables; one with the name of a model that ships changes or replaces it.
            routes: the user's `[routes.TASK]` tables, over those that ship.
            ladder: the user's ladder; None for the one that ships, or all models where nothing ships.
            ladders: the user's ladders of single tasks.
            shipped: False to start from nothing.
            local_context_tokens: the window that local engines are started with, tokens; None: what each model was made for.
            found: models of servers that happen to run here; a name that is taken stays as it is.

        Raises:
            ConfigError: a wrong table, or a route or ladder that names an unknown model.
        """
        base = _shipped() if shipped else cls(models=_NONE, routes=_NONE, ladder=())
        specs = dict(base.models)
        for name, table in models.items():
            specs[name] = read_model(name, table, base=base.models.get(name))
        specs = {spec.name: spec for spec in found} | specs
        specs = {spec.name: _windowed(spec, local_context_tokens) for spec in sorted(specs.values(), key=_price_rank)}
        rows = dict(base.routes)
        for task, table in routes.items():
            rows[task] = read_route(task, table, models=specs, base=base.routes.get(task))
        rungs = ladder or base.ladder or tuple(specs)
        named = {"ladder of [cascade]": rungs} | {
            f"ladder of {task} in [cascade.ladders]": own for task, own in ladders.items()
        }
        for where, ladder_of in named.items():
            for rung in ladder_of:
                if rung not in specs:
                    raise unknown_model(where, rung, specs)
        return cls(models=MappingProxyType(specs), routes=MappingProxyType(rows), ladder=rungs, ladders=ladders)

    def get(self, name: str) -> ModelSpec:
        """The model of that name.

        Raises:
            UnknownName: there is none; the fix names the nearest.
        """
        try:
            return self.models[name]
        except KeyError:
            raise UnknownName("model", name, self.models) from None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the routing table knows."""
        return tuple(self.routes)


def _windowed(spec: ModelSpec, local_context_tokens: int | None) -> ModelSpec:
    """A local model with the window that its engine is started with; any other as it is."""
    if spec.provider != "local" or local_context_tokens is None:
        return spec
    return replace(spec, context_window=min(spec.context_window or local_context_tokens, local_context_tokens))


def _price_rank(spec: ModelSpec) -> tuple[float, float]:
    """Order from cheap to dear: by a typical call (1,000 tokens in, 300 out); local ones by size; unknown prices last."""
    typical = estimate_usd(spec, 1000, 300)
    size = (spec.weights.bytes or 0) if spec.weights else 0
    return (float("inf") if typical is None else typical, float(size))


@cache
def _shipped() -> Catalog:
    table = tomllib.loads(files("molt_magic.catalog").joinpath("catalog.toml").read_text(encoding="utf-8"))
    models = {name: read_model(name, fields) for name, fields in table["models"].items()}
    routes = {task: read_route(task, fields, models=models) for task, fields in table["routes"].items()}
    return Catalog(models=MappingProxyType(models), routes=MappingProxyType(routes), ladder=tuple(table["cascade"]["ladder"]))
