"""Every provider stands under guard: a deadline, a cap on requests at once and on messages a second, and a breaker."""

from gateway.guard.guarded import Guarded

__all__ = ["Guarded"]
