"""Models behind an HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from molt_magic.errors import ProviderError, Unauthorized
from molt_magic.providers.anthropic import AnthropicDialect
from molt_magic.providers.balancing import deployments_of
from molt_magic.providers.base import Missing
from molt_magic.providers.exchange import Dialect, ask
from molt_magic.providers.gemini import GeminiDialect
from molt_magic.providers.openai import OpenAIDialect
from molt_magic.providers.redaction import redaction_of
from molt_magic.providers.vendors import Secret, locate
from molt_magic.transport import Transport
from molt_magic.types import Call, Completion, Deployment, ModelSpec

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (OpenAIDialect(), AnthropicDialect(), GeminiDialect())}


class RemoteProvider:
    """A provider that speaks one dialect.

    Args:
        dialect: the wire format.
        secret: looks a variable up in the environment and `.env`.
        transport: HTTP; its owner closes it.
    """

    def __init__(self, dialect: Dialect, *, secret: Secret, transport: Transport) -> None:
        self.name = dialect.name
        self.dialect = dialect
        self.secret = secret
        self.transport = transport

    def missing(self, spec: ModelSpec) -> Missing | None:
        """What every deployment of a model lacks, as the first says it; None where one can be asked."""
        found = [locate(spec, deployment, self.secret) for deployment in deployments_of(spec)]
        lacking = [each for each in found if isinstance(each, Missing)]
        return lacking[0] if len(lacking) == len(found) else None

    async def complete(
        self, spec: ModelSpec, deployment: Deployment, call: Call, *, on_delta: Callable[[str], None]
    ) -> Completion:
        """Ask one deployment once; see `Provider`."""
        endpoint = locate(spec, deployment, self.secret)
        if isinstance(endpoint, Missing):
            fix = f"{endpoint.fix[:1].upper()}{endpoint.fix[1:]}."
            raise Unauthorized(f"{spec.name} cannot be asked: {endpoint.reason}.", provider=self.name, fix=fix)
        redaction = redaction_of(endpoint.key)
        stream = redaction.stream(on_delta)
        try:
            return redaction.completion(await ask(self.dialect, self.transport, endpoint, spec, call, on_delta=stream))
        except ProviderError as error:
            failed = redaction.error(error)
        finally:
            stream.end()
        raise failed  # out here it has no context

    async def aclose(self) -> None:
        """Nothing is held: the transport is its owner's."""
