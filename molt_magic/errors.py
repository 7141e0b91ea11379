"""The one error tree of molt_magic. Every provider's exception is mapped into it.

::

    MoltError                       every error we raise on purpose: a message and the fix
    ├── InputError                  what was asked cannot be asked this way
    │   ├── UnknownName             a strategy, model, task, validator, flag or setting that does not exist
    │   └── PromptTooLong           one message is larger than every window
    ├── ConfigError                 molt.toml, the environment or %config holds something wrong
    ├── NoCandidate                 no model can take this request, with the reason for each
    ├── NoAnswer                    several models were tried and all failed, with the reason for each
    ├── BudgetExceeded              the call would cost more than was allowed
    ├── NotRecorded                 only recorded answers were allowed, and there is none to this call
    ├── StoreError                  a log, cache or run file cannot be used
    ├── ClusterError                the workers of a Dask cluster cannot be used
    ├── WeightsError                a local model's file is missing, incomplete or not what it should be
    └── ProviderError               a provider did not answer
        ├── ConnectionFailed        refused, no such host, TLS, reset before the answer
        ├── TimedOut                connect, first token or total
        │   └── OutOfTime           the deadline of the whole question
        ├── RateLimited             429 that passes
        ├── QuotaExceeded           402, or a 429 that does not pass
        ├── Unauthorized            401, 403, or no key
        ├── ModelNotFound           404, or a model name that the provider refuses
        ├── BadRequest              400, 413, 422 that no other kind explains
        ├── ContextTooLong          the messages do not fit the window
        ├── ContentFiltered         refused for its content
        ├── ServerError             5xx, 529, a local engine that died
        ├── MalformedAnswer         not the JSON, or not the shape, that the dialect promises
        └── StreamInterrupted       the stream ended before its end; the partial text is kept
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from molt_magic.types import Completion


class MoltError(Exception):
    """An error with a one-line message and the fix.

    Attributes:
        message: what went wrong, one line.
        fix: what the user can do about it, one line, or an empty string.
        decision_id: the logged decision this error ended, where there is one.
        result: the failed `Result`, with the partial text and the attempts, where there is one.
    """

    kind: ClassVar[str] = "error"

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.decision_id: str | None = None
        self.result: Any = None  # a molt_magic.result.Result, a layer above this one

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args), self.__dict__  # whatever arguments a kind is made from

    def __str__(self) -> str:
        if not self.fix:
            return self.message
        ended = self.message.rstrip().endswith((".", "!", "?"))  # a server's own words may just stop
        return f"{self.message}{'' if ended else '.'} {self.fix}"


def _again(kind: type[MoltError], args: tuple[Any, ...]) -> MoltError:
    """An error that was pickled; its attributes are put back afterwards."""
    error = kind.__new__(kind)
    error.args = args
    return error


class InputError(MoltError):
    """What was asked cannot be asked this way."""

    kind = "input"


class UnknownName(InputError):
    """A name that does not exist; the fix names the nearest that does, or all of them."""

    kind = "unknown_name"

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = get_close_matches(name, names, n=1, cutoff=0.5)
        fix = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names) or 'none'}."
        super().__init__(f"Unknown {what} {name!r}.", fix=fix)
        self.what = what
        self.name = name


class PromptTooLong(InputError):
    """One message is larger than every window that could take it."""

    kind = "prompt_too_long"


class ConfigError(MoltError):
    """A configuration file, an environment variable or a %config value is wrong."""

    kind = "config"


class NoCandidate(MoltError):
    """No model can take this request.

    Attributes:
        skipped: model name -> why it was passed over.
    """

    kind = "no_candidate"

    def __init__(self, message: str, *, skipped: Mapping[str, str], fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.skipped = dict(skipped)


class NoAnswer(MoltError):
    """Several models were tried and every one failed.

    Attributes:
        failures: (model name, error) in the order they were tried.
    """

    kind = "no_answer"

    def __init__(self, failures: Iterable[tuple[str, MoltError]]) -> None:
        self.failures = tuple(failures)
        story = "; ".join(f"{model}: {error.message}" for model, error in self.failures)
        fix = next((error.fix for _, error in self.failures if error.fix), "")
        super().__init__(f"No model answered. {story}", fix=fix)


class BudgetExceeded(MoltError):
    """The call would cost more than was allowed.

    Attributes:
        budget: whose limit it is: call, question, run, session or day.
    """

    kind = "budget"

    def __init__(self, message: str, *, fix: str = "", budget: str = "call") -> None:
        super().__init__(message, fix=fix)
        self.budget = budget


class NotRecorded(MoltError):
    """Only recorded answers were allowed (a cassette in replay, a comparison of what is there), and this call has none."""

    kind = "not_recorded"


class StoreError(MoltError):
    """A log, cache or run file cannot be used."""

    kind = "store"


class ClusterError(MoltError):
    """The workers of a Dask cluster cannot be used: there are none, they are of another version, or the client was closed."""

    kind = "cluster"


class WeightsError(MoltError):
    """A local model's file is missing, incomplete or not what it should be."""

    kind = "weights"


class ProviderError(MoltError):
    """A provider did not answer.

    Attributes:
        provider: name of the provider (`openai`, `anthropic`, `gemini`, `local`).
        status: HTTP status, or None where there was no response.
        retry_after_s: seconds the provider asked us to wait, or None.
        retryable: whether the same deployment may answer if asked again.
    """

    kind = "provider"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        fix: str = "",
        retryable: bool | None = None,  # None: as the kind says; a server may say otherwise (`x-should-retry`)
    ) -> None:
        super().__init__(message, fix=fix)
        self.provider = provider
        self.status = status
        self.retry_after_s = retry_after_s
        if retryable is not None:
            self.retryable = retryable


class ConnectionFailed(ProviderError):
    """Refused, no such host, TLS failure, or reset before the answer."""

    kind = "connection"
    retryable = True


class TimedOut(ProviderError):
    """The connect, first-token or total time limit passed."""

    kind = "timeout"
    retryable = True


class OutOfTime(TimedOut):
    """The question's deadline has passed: what ran is cut, and nothing more is begun."""

    kind = "deadline"
    retryable = False


class RateLimited(ProviderError):
    """A 429 that passes when waited for."""

    kind = "rate_limit"
    retryable = True


class QuotaExceeded(ProviderError):
    """402, or a 429 that does not pass (`insufficient_quota`)."""

    kind = "quota"


class Unauthorized(ProviderError):
    """401, 403, or no key at all."""

    kind = "bad_key"


class ModelNotFound(ProviderError):
    """404, or a model name that the provider refuses."""

    kind = "unknown_model"


class BadRequest(ProviderError):
    """400, 413 or 422 that no other kind explains."""

    kind = "bad_request"


class ContextTooLong(ProviderError):
    """The messages do not fit the model's window."""

    kind = "context_too_long"


class ContentFiltered(ProviderError):
    """The provider refused the content.

    Attributes:
        withheld: what came in place of an answer: no text, and what it used, which is billed. None: nothing came.
    """

    kind = "content_filter"
    withheld: Completion | None = None


class ServerError(ProviderError):
    """5xx, 529, or a local engine that died."""

    kind = "server_error"
    retryable = True


class MalformedAnswer(ProviderError):
    """Not the JSON, or not the shape, that the dialect promises."""

    kind = "malformed"
    retryable = True


class StreamInterrupted(ProviderError):
    """The stream ended before its end.

    Attributes:
        partial: what had arrived (text, usage as far as known), or None if nothing had.
    """

    kind = "interrupted"
    retryable = True

    def __init__(
        self, message: str, *, partial: Completion | None = None, provider: str = "", status: int | None = None, fix: str = ""
    ) -> None:
        super().__init__(message, provider=provider, status=status, fix=fix)
        self.partial = partial
