"""How long a network error has to last before it fails a mailbox (C2)."""

from datetime import timedelta


def patience_for(is_offline: bool, network_patience: timedelta, offline_patience: timedelta) -> timedelta:
    """Return how long the trouble of one mailbox may last; at exactly this duration the mailbox fails.

    While no other server is reached either, the cause is probably this machine, so it may last longer.
    """
    return max(network_patience, offline_patience) if is_offline else network_patience
