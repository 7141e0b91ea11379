"""Vectors from any OpenAI-compatible endpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from molt_magic.embed.vectors import unit_rows
from molt_magic.errors import (
    BadRequest,
    MalformedAnswer,
    ModelNotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    Unauthorized,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from molt_magic.transport import Headers, Transport

_OPENAI = "https://api.openai.com/v1"
_MODEL = "text-embedding-3-small"
_BATCH = 64  # texts in one request: OpenAI takes 2,048, smaller servers far fewer
_PROVIDER = "openai"  # the dialect, as errors name it


class RemoteEmbedder:
    """POST `/embeddings` in OpenAI's dialect.

    Args:
        model: the endpoint's model; `text-embedding-3-small` where none is named.
        base_url: the endpoint, up to `/v1`; `OPENAI_BASE_URL`, else OpenAI's own, where none is named.
        api_key_env: the variable that holds the key. None: `OPENAI_API_KEY`, but only where `base_url` is None too: that key is
            not for another's server.
        secret: looks a variable up (`Settings.secret`).
        transport: the HTTP to use; its own where none is given.
        timeout_s: seconds a request may take.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        base_url: str | None = None,
        api_key_env: str | None = None,
        secret: Callable[[str], str | None],
        transport: Transport | None = None,
        timeout_s: float = 30,
    ) -> None:
        self.model = model or _MODEL
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.timeout_s = timeout_s
        self._secret = secret
        self._transport = transport
        self._lock = threading.Lock()
        self._dim: int | None = None

    @property
    def id(self) -> str:
        """Endpoint, model and dimension. The first use asks the endpoint for one vector, to learn the dimension."""
        return f"{urlsplit(self._endpoint()).netloc.rpartition('@')[2]}/{self.model}-{self.dim}"

    @property
    def dim(self) -> int:
        """Numbers in a vector. The first use asks the endpoint for one vector."""
        if self._dim is None:
            self.embed(["dimension"])
            assert self._dim is not None
        return self._dim

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`; see `Embedder`.

        Raises:
            ProviderError: no answer, or not the vectors that were asked for.
        """
        import numpy as np

        wanted = [row for row, text in enumerate(texts) if text.strip()]  # endpoints refuse empty input
        found: list[list[float]] = []
        for start in range(0, len(wanted), _BATCH):
            found += self._ask([texts[row] for row in wanted[start : start + _BATCH]])
        rows = np.zeros((len(texts), self.dim if not found else len(found[0])), dtype=np.float32)
        if found:
            rows[wanted] = np.array(found, dtype=np.float32)
        return unit_rows(rows)

    def _ask(self, texts: list[str]) -> list[list[float]]:
        variable = self.api_key_env or ("OPENAI_API_KEY" if self.base_url is None else None)
        answer = self._http().request(
            "POST",
            f"{self._endpoint()}/embeddings",
            json={"model": self.model, "input": texts, "encoding_format": "float"},
            headers=None if variable is None else self._authorization(variable),
            provider=_PROVIDER,
            total_s=self.timeout_s,
        )
        if answer.status != 200:
            raise self._refusal(answer.status, variable)
        return self._vectors(answer.json(_PROVIDER), len(texts))

    def _authorization(self, variable: str) -> Headers:
        from molt_magic.transport import Headers

        key = self._secret(variable)
        if key is None:
            raise Unauthorized(
                "There is no key for the embeddings endpoint.",
                provider=_PROVIDER,
                fix=f"Set {variable} in the environment or .env.",
            )
        return Headers(Authorization=f"Bearer {key}")

    def _vectors(self, body: Any, expected: int) -> list[list[float]]:
        try:
            items = sorted(body["data"], key=lambda item: item["index"])
            vectors = [[float(x) for x in item["embedding"]] for item in items]
        except (KeyError, TypeError, ValueError):
            raise MalformedAnswer(
                "The embeddings endpoint did not answer with vectors.", provider=_PROVIDER, fix=self._check()
            ) from None
        lengths = {len(vector) for vector in vectors}
        if [item["index"] for item in items] != list(range(expected)) or len(lengths) != 1 or 0 in lengths:
            raise MalformedAnswer(
                f"The embeddings endpoint answered {len(vectors)} vectors of lengths {sorted(lengths)} for {expected} texts.",
                provider=_PROVIDER,
                fix=self._check(),
            )
        if any(x != x or abs(x) == float("inf") for vector in vectors for x in vector):
            raise MalformedAnswer(
                "The embeddings endpoint answered numbers that are none.", provider=_PROVIDER, fix=self._check()
            )
        with self._lock:
            if self._dim is None:
                self._dim = lengths.pop()
            elif self._dim not in lengths:
                raise MalformedAnswer(
                    f"The embeddings endpoint changed its dimension from {self._dim} to {lengths.pop()}.",
                    provider=_PROVIDER,
                    fix="Restart the kernel if its model was changed.",
                )
        return vectors

    def _refusal(self, status: int, variable: str | None) -> ProviderError:
        # the body is not shown: endpoints repeat the text, and some the key, in it
        kinds: dict[int, type[ProviderError]] = {
            401: Unauthorized,
            402: QuotaExceeded,
            403: Unauthorized,
            404: ModelNotFound,
            429: RateLimited,
        }
        kind = kinds.get(status, ServerError if status >= 500 else BadRequest)
        fix = self._check()
        if kind is Unauthorized:
            fix = f"Check the key in {variable}." if variable else "Name the variable of its key in embed.api_key_env."
        return kind(f"The embeddings endpoint answered {status}.", provider=_PROVIDER, status=status, fix=fix)

    def _check(self) -> str:
        return f"Check embed.base_url and embed.model ({self.model!r})."

    def _endpoint(self) -> str:
        return (self.base_url or self._secret("OPENAI_BASE_URL") or _OPENAI).rstrip("/")

    def _http(self) -> Transport:
        with self._lock:
            if self._transport is None:
                from molt_magic.transport import Transport

                self._transport = Transport()
            return self._transport
