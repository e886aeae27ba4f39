"""How long a network error has to last before it fails a mailbox (C2)."""

from datetime import timedelta

import pytest

from mailrotate.core.rules.network_trouble import patience_for

MINUTES_30, HOUR, DAY = timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("is_offline", "network_patience", "offline_patience", "patience"),
    [
        (False, MINUTES_30, DAY, MINUTES_30),
        (True, MINUTES_30, DAY, DAY),
        (False, HOUR, DAY, HOUR),
        (True, MINUTES_30, HOUR, HOUR),
        # Being offline never makes a mailbox fail sooner than a single server's trouble would.
        (True, DAY, HOUR, DAY),
        (True, MINUTES_30, timedelta(), MINUTES_30),
        (False, timedelta(), DAY, timedelta()),
    ],
)
def test_c2_a_machine_that_is_offline_gets_the_longer_patience(
    is_offline: bool, network_patience: timedelta, offline_patience: timedelta, patience: timedelta
) -> None:
    assert patience_for(is_offline, network_patience, offline_patience) == patience
