"""Turning text into vectors: static ones by default, a small transformer where it matters, or any endpoint.

Every embedder gives float32 rows of unit length; text with nothing in it gives a row of zeros, which is like nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from molt_magic.embed.minilm import MiniLMEmbedder
from molt_magic.embed.remote import RemoteEmbedder
from molt_magic.embed.static import StaticEmbedder
from molt_magic.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from molt_magic.transport import Transport

__all__ = ["Embedder", "MiniLMEmbedder", "RemoteEmbedder", "StaticEmbedder", "make_embedder"]

PROVIDERS = ("static", "openai")


class Embedder(Protocol):
    """What turns text into vectors. Vectors of different `id` are never compared. May be used from several threads."""

    @property
    def id(self) -> str:
        """Names the model and its dimension."""
        ...

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`: shape (len(texts), dim), rows of unit length or all zero."""
        ...


def make_embedder(
    *,
    provider: str = "static",
    model: str | None = None,
    base_url: str | None = None,
    api_key_env: str | None = None,
    secret: Callable[[str], str | None] | None = None,
    transport: Transport | None = None,
) -> Embedder:
    """The embedder that `[embed]` describes. Nothing is loaded or asked before its first use.

    Args:
        provider: `static`, or `openai` for any OpenAI-compatible endpoint.
        model: the endpoint's model; `text-embedding-3-small` where none is named.
        base_url: the endpoint; OpenAI's own (or `OPENAI_BASE_URL`) where none is named.
        api_key_env: the variable that holds the key; `OPENAI_API_KEY` for OpenAI's own endpoint.
        secret: looks a variable up, `Settings.secret`; needed for `openai`.
        transport: the HTTP to use; its own where none is given.

    Raises:
        UnknownName: no such provider.
        ConfigError: the values do not belong together.
    """
    if provider not in PROVIDERS:
        raise UnknownName("embedder", provider, PROVIDERS)
    if provider == "static":
        given = {"model": model, "base_url": base_url, "api_key_env": api_key_env}
        if stray := next((name for name, value in given.items() if value is not None), None):
            raise ConfigError(
                f"embed.{stray} means nothing to the static embedder.", fix='Add provider = "openai" under [embed].'
            )
        return StaticEmbedder()
    if secret is None:
        raise ConfigError("A remote embedder needs to look up its key.", fix="Pass secret=settings.secret.")
    return RemoteEmbedder(model=model, base_url=base_url, api_key_env=api_key_env, secret=secret, transport=transport)
