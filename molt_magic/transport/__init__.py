"""All HTTP of molt_magic: the only package that imports httpx and httptools, so that the client can be changed in one place.

Every failure of the client is mapped into the error tree, responses are bounded in size and in time, redirects are
not followed (a key must not travel to another host), and plain HTTP to another machine is warned about once.
What a status means is the caller's business: an `Answer` or a `Reply` carries it.
"""

from molt_magic.transport.client import Transport
from molt_magic.transport.failures import host_of, is_loopback
from molt_magic.transport.headers import Headers
from molt_magic.transport.limit import limit
from molt_magic.transport.reply import Answer, Reply

__all__ = ["Answer", "Headers", "Reply", "Transport", "host_of", "is_loopback", "limit"]
