"""What webhooks are told of, and what an endpoint answers."""

from collections.abc import Mapping
from dataclasses import dataclass

# The actions of the log that an endpoint may be told of. Each of them is rare: a message is none of these.
OFFERED: Mapping[str, str] = {
    "mailbox.connected": "a mailbox was connected",
    "mailbox.failed": "a mailbox failed",
    "mailbox.recovered": "a failed mailbox works again",
    "mailbox.reconnected": "a user renewed a mailbox's credentials",
    "mailbox.disconnected": "a user disconnected a mailbox",
    "mailbox.removed": "a mailbox was removed",
    "campaign.paused": "a reason to pause a campaign was added",
    "campaign.resumed": "a campaign runs again",
    "grace.ended": "a deadline passed: how many recipients were stopped or given to other senders",
    "notice.failure": "a notice of a failed mailbox was due, whether or not a mail could be sent",
    "notice.recovery": "users were told that a mailbox works again",
}
# The body of a test has this as its type.
TEST_EVENT = "webhook.test"


@dataclass(frozen=True)
class WebhookAnswer:
    """The status of an endpoint's answer, and the beginning of its text in one line."""

    status: int
    text: str = ""


class WebhookTrouble(Exception):
    """The endpoint could not be reached, or did not answer in time; `str` says why."""
