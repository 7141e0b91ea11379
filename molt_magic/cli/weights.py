"""Fetching local models' weights from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from molt_magic.errors import InputError
from molt_magic.views.progress import TerminalProgress
from molt_magic.views.sizes import megabytes

if TYPE_CHECKING:
    from molt_magic.config import Settings


def pull(settings: Settings, names: Iterable[str]) -> list[str]:
    """Fetch and verify what is missing of these models; progress goes to stderr. Returns a line a model.

    Raises:
        UnknownName: no such model; nothing was fetched.
        InputError: a model that has no weights to fetch; nothing was fetched.
        WeightsError: the weights could not be had, or are not what they should be.
    """
    from molt_magic.catalog import Catalog
    from molt_magic.providers import Providers
    from molt_magic.providers.local.verify import file_of

    catalog = Catalog.load(
        models=settings.models,
        routes=settings.routes,
        ladder=settings.cascade.ladder,
        shipped=settings.defaults.catalog == "shipped",
    )
    specs = [catalog.get(name) for name in dict.fromkeys(names)]
    for spec in specs:
        if spec.weights is None:
            local = ", ".join(name for name, known in catalog.models.items() if known.weights is not None)
            raise InputError(f"{spec.name} is served by {spec.provider}: there is nothing to pull.", fix=f"Local: {local}.")
    progress = TerminalProgress(sys.stderr)
    providers = Providers(settings, on_progress=progress)
    told = []
    try:
        for spec in specs:
            if providers.can_pull(spec):
                providers.pull(spec)
                progress.close()
            if (missing := providers.missing(spec)) is not None:
                raise InputError(f"{spec.name}: {missing.reason}", fix=missing.fix)
            assert spec.weights is not None
            file = file_of(spec.weights, settings.models_dir)
            told.append(f"{spec.name}: ready, {megabytes(file.stat().st_size)} in {file}")
    finally:
        progress.close()
        providers.close()
    return told
