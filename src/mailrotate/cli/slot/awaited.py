"""Mailboxes that a slot is still reserved for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailrotate.cli.output import zoned

if TYPE_CHECKING:
    from mailrotate.core.store.deadlines import AwaitedReturn


def awaited_lines(awaited: "Sequence[AwaitedReturn]", zone: str) -> list[str]:
    return [
        f"{each.mailbox} was in this slot, and its grace in campaign {each.campaign} runs until "
        f"{zoned(each.ends_at, zone)}; to come back in time it would need another slot"
        for each in awaited
    ]
