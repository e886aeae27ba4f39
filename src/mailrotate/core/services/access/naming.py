"""Find campaigns, mailboxes and users by the names people use, and suggest similar names."""

import re
from difflib import get_close_matches

from sqlalchemy import Connection

from mailrotate.core.store import campaigns, mailboxes, seat_addresses, workspaces
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import NotFound
from mailrotate.core.values.hint import Command

# A slip of one or two letters; difflib's own 0.6 takes words for near that share little but their length.
_ALIKE = 0.75
_ID = re.compile("[a-z]+_[0-9]+")


def find_campaign(connection: Connection, name: str) -> StoredCampaign:
    """Find a campaign by name or id (`c_17`). Raises NotFound (`campaign.none`) with similar names."""
    found = campaigns.find(connection, name)
    if found is not None:
        return found
    known = campaigns.listing(connection)
    by_id = next((campaign for campaign in known if name == f"c_{campaign.id}"), None)
    if by_id is not None:
        return by_id
    meant = _meant(name, [campaign.name for campaign in known])
    raise NotFound("campaign.none", f"there is no campaign '{name}'{meant}", Command("campaign", "list"))


def find_mailbox(connection: Connection, address: str, *, with_removed: bool = False) -> StoredMailbox:
    """Find a mailbox by address or id (`b_17`); `with_removed` also finds removed ones.

    Raises NotFound (`mailbox.none`, `mailbox.removed`), BadInput.
    """
    is_id = _ID.fullmatch(address) is not None
    by_id = _mailbox_of_id(connection, address) if is_id else None
    if is_id and by_id is None:
        raise NotFound("mailbox.none", f"there is no mailbox {address}", Command("mailbox", "list"))
    wanted = address if by_id is not None else normalise_address(address)
    box = by_id or mailboxes.by_address(connection, wanted)
    if box is not None and (with_removed or box.removed_at is None):
        return box
    held = seat_addresses.holding(connection, wanted)
    if held is not None:
        owner = mailboxes.by_id(connection, held.mailbox_id).address
        what = "another spelling" if held.address == owner else "an alias"
        raise NotFound("mailbox.none", f"{address} is {what} of {owner}", Command("mailbox", "show", owner))
    if box is not None:
        raise NotFound(
            "mailbox.removed",
            f"{box.address} was removed; only its history remains",
            Command("mailbox", "show", box.address),
        )
    known = [known.address for known in mailboxes.listing(connection)]
    meant = _meant(address, _near_addresses(address, known))
    hint = Command("mailbox", "list") if meant else Command("mailbox", "connect", address)
    raise NotFound("mailbox.none", f"there is no mailbox {address}{meant}", hint)


def _mailbox_of_id(connection: Connection, name: str) -> StoredMailbox | None:
    everybody = [*mailboxes.listing(connection), *mailboxes.listing(connection, removed=True)]
    return next((box for box in everybody if name == f"b_{box.id}"), None)


def find_user(connection: Connection, email: str) -> StoredUser:
    """Find a user. Raises NotFound (`user.none`) if no user has this address."""
    user = workspaces.user_by_email(connection, email.strip().lower())
    if user is not None:
        return user
    known = [user.email for user in workspaces.users(connection)]
    meant = _meant(email, _near_addresses(email, known))
    raise NotFound("user.none", f"there is no user {email} in this workspace{meant}", Command("user", "list"))


def _near_addresses(address: str, known: list[str]) -> list[str]:
    # Before and behind the @ apart: the addresses of one domain are all alike for that domain's sake.
    parts = address.lower().partition("@")[::2]
    return [other for other in known if _alike(parts, other.partition("@")[::2])]


def _alike(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return all(
        get_close_matches(one, [other], cutoff=_ALIKE) for one, other in zip(some, others, strict=True)
    )


def _meant(name: str, known: list[str]) -> str:
    """Names that differ by a slip; of an id none, because every other id is near to it and none is meant."""
    close = [] if _ID.fullmatch(name) else get_close_matches(name, known, n=3, cutoff=_ALIKE)
    return f"; did you mean {' or '.join(close)}?" if close else ""
