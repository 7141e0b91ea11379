"""Where each vendor is reached: its address, the variables its SDK reads, and what its dialect lacks.

Sources: the vendors' API references and their SDKs' environment variables, read in 2026-11. `max_tokens`: OpenAI's
reasoning models refuse the old name; DeepSeek, Ollama (pull request 14464 was open) and llama.cpp before 2026-02
(pull request 19831) know only the old one; the others take both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from molt_magic.frozen import fast_init
from molt_magic.providers.base import Missing
from molt_magic.transport import is_loopback
from molt_magic.types import Deployment, ModelSpec

Secret = Callable[[str], str | None]  # looks a variable up in the environment and .env


@dataclass(frozen=True, slots=True)
class Vendor:
    """One company or server that speaks a dialect."""

    name: str
    base_url: str | None
    key_vars: tuple[str, ...] = ()  # the first that is set counts; empty: no key is needed
    url_vars: tuple[str, ...] = ()  # likewise, over `base_url`
    max_tokens: str = "max_tokens"  # the name it knows
    json_schema: bool = True  # False: it knows `json_object` only


_OPENAI_DIALECT = (
    Vendor(
        "openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",), ("OPENAI_BASE_URL",), max_tokens="max_completion_tokens"
    ),
    Vendor("deepseek", "https://api.deepseek.com", ("DEEPSEEK_API_KEY",), ("DEEPSEEK_BASE_URL",), json_schema=False),
    Vendor(
        "moonshotai",
        "https://api.moonshot.ai/v1",
        ("MOONSHOT_API_KEY", "KIMI_API_KEY"),
        ("MOONSHOT_BASE_URL", "KIMI_BASE_URL"),
        max_tokens="max_completion_tokens",
    ),
    Vendor("openrouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), ("OPENROUTER_BASE_URL",)),
    Vendor(
        "google",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    ),
    Vendor("ollama", "http://127.0.0.1:11434/v1", url_vars=("OLLAMA_HOST",)),
    Vendor("vllm", "http://127.0.0.1:8000/v1"),
    Vendor("llamacpp", "http://127.0.0.1:8080/v1"),
)
_ANTHROPIC = Vendor(
    "anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"), ("ANTHROPIC_BASE_URL",)
)
_GEMINI = Vendor(
    "google",
    "https://generativelanguage.googleapis.com",
    ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    ("GOOGLE_GEMINI_BASE_URL",),
)
_BY_DIALECT = {
    "openai": {vendor.name: vendor for vendor in _OPENAI_DIALECT},
    "anthropic": {"anthropic": _ANTHROPIC},
    "gemini": {"google": _GEMINI},
}
_DEFAULT = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}


def key_variables() -> frozenset[str]:
    """Every variable that a key is read from by default."""
    vendors = (vendor for known in _BY_DIALECT.values() for vendor in known.values())
    return frozenset(name for vendor in vendors for name in vendor.key_vars)


def vendor_of(spec: ModelSpec) -> Vendor:
    """The vendor of a model; one we do not know is reached with `base_url` and `api_key_env` alone."""
    known = _BY_DIALECT[spec.provider]
    name = spec.vendor or _DEFAULT[spec.provider]
    return known.get(name) or Vendor(name, None)


@fast_init
@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a deployment is reached, and with what key."""

    base_url: str  # no slash at its end
    key: str | None
    key_var: str | None  # the variable the key was found in
    vendor: Vendor

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r}, key={'set' if self.key else None})"  # a key is never shown


def locate(spec: ModelSpec, deployment: Deployment, secret: Secret) -> Endpoint | Missing:
    """The endpoint of a deployment, or what is missing. The environment is read anew each time."""
    vendor = vendor_of(spec)
    where: str | None = "base_url"
    told = deployment.base_url
    if not told:
        where, told = _first_set(vendor.url_vars, secret)
        if told and vendor.name == "ollama":
            told = _ollama(told)
    base_url = (told or vendor.base_url or "").rstrip("/")
    if not base_url:
        return Missing(f"no address is known for vendor {vendor.name!r}", f"set base_url in [models.{spec.name}]")
    if "@" in base_url.partition("://")[2].partition("/")[0]:
        reason = f"the address in {where} holds a user name or password"
        return Missing(reason, "leave them out of it, put the key into a variable and name that in api_key_env")
    key_vars, needed = vendor.key_vars, bool(vendor.key_vars) and not is_loopback(base_url)
    if deployment.api_key_env is not None:
        key_vars, needed = (deployment.api_key_env,), True
    elif deployment.base_url is not None and is_loopback(base_url):
        key_vars = ()  # a server of one's own: the vendor's key is not for it
    key_var, key = _first_set(key_vars, secret)
    if key is None and needed:
        return Missing(f"{' or '.join(key_vars)} is not set", f"set {key_vars[0]} in the environment or a .env file")
    return Endpoint(base_url, key, key_var, vendor)


def _first_set(names: tuple[str, ...], secret: Secret) -> tuple[str, str] | tuple[None, None]:
    """The first variable that is set, and its value."""
    for name in names:
        if value := secret(name):
            return name, value
    return None, None


def address_of(spec: ModelSpec, deployment: str | None, secret: Secret) -> str | None:
    """The base URL of a model's deployment by its name; None where it is not reached over HTTP, or is none of them."""
    if spec.provider not in _BY_DIALECT:
        return None
    found = [locate(spec, each, secret) for each in spec.deployments if each.name == deployment]
    return found[0].base_url if found and isinstance(found[0], Endpoint) else None


def _ollama(host: str) -> str:
    """`OLLAMA_HOST` as its server reads it (host, host:port or URL; 0.0.0.0 is an address to listen on) as a base URL."""
    parts = urlsplit(host if "://" in host else f"http://{host}")
    name = "127.0.0.1" if parts.hostname in (None, "0.0.0.0", "::") else parts.hostname  # noqa: S104 - compared, not bound
    port = parts.port or (443 if parts.scheme == "https" else 11434)
    return f"{parts.scheme}://{f'[{name}]' if ':' in str(name) else name}:{port}/v1"
