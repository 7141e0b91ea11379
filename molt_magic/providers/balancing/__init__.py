"""Which deployment of a model is asked, when it is asked again, and how much of it may be asked.

Among the deployments that are not cooling down and not at a limit of theirs, the least busy for its weight is asked. Where
one fails another takes over at once; once all were asked, the request waits (exponential backoff with jitter, and at least
what the server asked for) and tries those again whose failure may pass. What is learned of a deployment, and what was asked
of it in the last minute, is shared by the kernels of a machine.
"""

from molt_magic.providers.balancing.balancer import Balancer
from molt_magic.providers.balancing.shared import Shared
from molt_magic.providers.balancing.trip import deployments_of

__all__ = ["Balancer", "Shared", "deployments_of"]
