"""Decide which mail appears on a contact's timeline, and which correspondents become contacts (B9)."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from mailrotate.core.values.address import domain_of
from mailrotate.core.values.states import Direction


class Whose(StrEnum):
    """Which correspondents' mail is recorded."""

    KNOWN = "known"
    ALL = "all"
    NONE = "none"


class Decision(StrEnum):
    """What to do with one mail."""

    PASS = "pass"
    LOG = "log"
    MAKE_CONTACT = "make_contact"  # and log it there


@dataclass(frozen=True)
class Link:
    """How a mailbox is linked to the contact book. `never` holds normalised domains; each covers what is
    below it. While `is_on` is false the rest is only remembered."""

    is_on: bool = False
    incoming: Whose = Whose.KNOWN
    outgoing: Whose = Whose.KNOWN
    never: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.is_on:
            return "off"
        never = f", never {' '.join(self.never)}" if self.never else ""
        return f"incoming {self.incoming}, outgoing {self.outgoing}{never}"


NEVER_LINKED = Link()


def decide(
    link: Link, direction: Direction, counterpart: str, *, is_known: bool, is_ours: bool = False
) -> Decision:
    """`counterpart` is a normalised address, `is_known` whether there is a contact with it, `is_ours`
    whether it is on a seat of the workspace: who works here is made no contact."""
    whose = link.incoming if direction is Direction.INCOMING else link.outgoing
    if not link.is_on or whose is Whose.NONE or _is_within(domain_of(counterpart), link.never):
        return Decision.PASS
    if is_known:
        return Decision.LOG
    return Decision.MAKE_CONTACT if whose is Whose.ALL and not is_ours else Decision.PASS


def _is_within(domain: str, others: tuple[str, ...]) -> bool:
    """Whether the domain is one of the others, or below one."""
    return any(domain == other or domain.endswith(f".{other}") for other in others)


def read_link(stored: str | None) -> Link:
    """Read a connection's `contact_book` column; null means never linked."""
    if stored is None:
        return NEVER_LINKED
    found = json.loads(stored)
    return Link(bool(found["on"]), Whose(found["incoming"]), Whose(found["outgoing"]), tuple(found["never"]))


def as_document(link: Link) -> dict[str, object]:
    """The link as it is stored and shown to scripts."""
    values = asdict(link)
    return {"on": values.pop("is_on"), **values, "never": list(link.never)}
