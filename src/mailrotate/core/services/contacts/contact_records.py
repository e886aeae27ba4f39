"""Contacts: their fields, owners, tags and timelines.

They belong to the workspace: every active user sees, tags and edits them. Only the owner, and users whose
role allows it, can change the owner.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.text import plain_lines
from mailrotate.core.services.access import authority, naming, seats
from mailrotate.core.services.contacts.contact_book import CONTACT_PREFIX
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import assigning
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.store import events
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.people import assignments, contacts, recipients, suppressions, tags, timeline
from mailrotate.core.store.people.contacts import Membership, StoredContact
from mailrotate.core.store.people.timeline import TimelineEntry
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command
from mailrotate.core.values.tag import read_tag


@dataclass(frozen=True)
class Wanted:
    """Filters for the listing."""

    tag: str | None = None
    owner: str | None = None
    after: int | None = None
    limit: int | None = None


@dataclass(frozen=True)
class ShownContact:
    """One contact with everything; `suppressed` says why no message may be sent to them.

    `staying` are its open recipients that keep the previous owner's mailbox: (campaign, mailbox).
    """

    contact: StoredContact
    suppressed: str | None
    campaigns: Sequence[Membership]
    timeline: Sequence[TimelineEntry]
    staying: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Tagged:
    """`changed` of the `named` contacts got or lost the tag; the others did not change."""

    tag: str
    named: int
    changed: int


@dataclass(frozen=True)
class ContactChange:
    """`owner` is a user's address, empty for none, None to keep it; a field set to '' is removed."""

    owner: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def listing(context: Context, wanted: Wanted) -> Iterator[Iterator[StoredContact]]:
    """List contacts in the order of creation, streamed inside the block.

    Raises NotFound (`user.none`), BadInput (`tag.invalid`), Refused.
    """
    with context.store.reading() as connection:
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        found = contacts.listing(
            connection,
            tag=None if wanted.tag is None else read_tag(wanted.tag),
            owner_id=None if wanted.owner is None else naming.find_user(connection, wanted.owner).id,
            after=wanted.after,
            limit=wanted.limit,
        )
        # Closed before the connection, also when not all of it was wanted.
        with closing(found):
            yield found


def show(
    context: Context, name: str, entries: int, after: int | None = None, now: datetime | None = None
) -> ShownContact:
    """Show a contact with the newest `entries` of its timeline, or the next ones `after` an entry.

    Raises NotFound (`contact.none`, `timeline.none`), BadInput, Refused.
    """
    with looking(context, now) as connection:
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        return _shown(context, connection, _find(connection, name), entries, after)


def _shown(
    context: Context, connection: Connection, contact: StoredContact, entries: int, after: int | None = None
) -> ShownContact:
    covering = suppressions.covering(connection, contact.email)
    last = None
    if after is not None:
        at = timeline.instant_of(connection, contact.id, after)
        if at is None:
            named = contact_name(contact.id)
            raise NotFound(
                "timeline.none",
                f"t_{after} is not on the timeline of {named}",
                Command("contact", "show", named, "--json"),
            )
        last = (at, after)
    return ShownContact(
        contact,
        None if covering is None else covering.reason,
        contacts.campaigns_of(connection, contact.id, authority.viewer_of(connection, context.actor)),
        timeline.newest(connection, contact.id, entries, last),
    )


def tag(context: Context, word: str, names: Sequence[str], *, remove: bool, now: datetime) -> Tagged:
    """Add a tag to contacts, or remove it. Raises NotFound (`contact.none`) without tagging any."""
    meant = read_tag(word)
    read = {name: _read_name(name) for name in names}
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        named = _find_all(connection, read)
        have_it = tags.among(connection, named, meant)
        changing = sorted(number for number in named if (number in have_it) is remove)
        if changing:
            (tags.remove if remove else tags.add)(connection, changing, meant)
            action = "contacts.untagged" if remove else "contacts.tagged"
            ids = [contact_name(contact_id) for contact_id in changing]
            events.record(connection, context.actor, action, now, About(), tag=meant, contacts=ids)
    return Tagged(meant, len(named), len(changing))


def change(context: Context, name: str, wanted: ContactChange, entries: int, now: datetime) -> ShownContact:
    """Set owner and fields; recipients keep the fields and the sender they were enrolled with (D1, E2).

    Recipients that wait for a mailbox of the owner follow the new one.

    Raises BadInput, NotFound (`contact.none`, `user.none`), Refused.
    """
    if wanted.owner is None and not wanted.fields:
        raise BadInput("contact.nothing", "nothing to change", "add --owner USER or --field NAME=VALUE")
    with acting(context, now) as (connection, now):
        seats.require_deed(connection, context.actor, Deed.PEOPLE)
        if wanted.owner is not None:
            # Before the contact's own lock, in the order of an import, which adds recipients to contacts.
            recipients.lock_enrolment(connection)
        contacts.lock(connection, _find(connection, name).id)
        before = _find(connection, name)
        told: dict[str, object] = {}
        staying: Sequence[tuple[str, str]] = ()
        if wanted.owner is not None:
            owner_id = naming.find_user(connection, wanted.owner).id if wanted.owner else None
            if owner_id != before.owner_id:
                _refuse_giving(connection, context.actor, before, owner_id)
                told |= {"key": "owner", "before": before.owner_id, "after": owner_id}
                contacts.change(connection, before.id, owner_id=owner_id)
                for campaign_id in assignments.waiting_for_owner(connection, before.id):
                    assigning.assign_waiting(connection, campaign_id, now)
                viewer = authority.viewer_of(connection, context.actor)
                staying = assignments.kept_by_owner(connection, before.id, owner_id, viewer)
        fields = _merged(before.fields, wanted.fields)
        if fields != before.fields:
            # No values: the log must not contain personal data that an erasure cannot remove.
            told["fields"] = sorted(wanted.fields)
            contacts.change(connection, before.id, fields=json.dumps(fields, ensure_ascii=False))
        if told:
            named = contact_name(before.id)
            events.record(connection, context.actor, "contact.set", now, About(), contact=named, **told)
        return replace(_shown(context, connection, _find(connection, name), entries), staying=staying)


def _merged(before: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    merged = {**before, **{name: plain_lines(value) for name, value in wanted.items()}}
    return {name: value for name, value in merged.items() if name not in wanted or value.strip()}


def _refuse_giving(connection: Connection, actor: Actor, contact: StoredContact, to: int | None) -> None:
    """The owner may give a contact away, and any user may take one without owner; else a role decides."""
    is_own = contact.owner_id == actor.user_id
    is_free_to_take = contact.owner_id is None and to == actor.user_id
    if not is_own and not is_free_to_take:
        seats.require_deed(connection, actor, Deed.CONTACTS)


def contact_name(contact_id: int) -> str:
    """How the log and the commands name a contact."""
    return f"{CONTACT_PREFIX}_{contact_id}"


def _find(connection: Connection, name: str) -> StoredContact:
    meant = _read_name(name)
    found = contacts.by_id(connection, meant) if isinstance(meant, int) else contacts.find(connection, meant)
    if found is None:
        raise _is_none(name)
    return found


def _find_all(connection: Connection, read: Mapping[str, int | str]) -> list[int]:
    """The ids of many, each once, with few statements; `read` is what each name means."""
    there = contacts.among(connection, [one for one in read.values() if isinstance(one, int)])
    known = contacts.known(connection, [one for one in read.values() if isinstance(one, str)])
    for name, meant in read.items():
        if meant not in there and meant not in known:
            raise _is_none(name)
    return sorted(there | set(known.values()))


def _read_name(name: str) -> int | str:
    """An id, or else a normalised address. Raises BadInput."""
    number = name.removeprefix(f"{CONTACT_PREFIX}_")
    is_id = number != name and number.isascii() and number.isdigit() and len(number) < 19
    return int(number) if is_id else normalise_address(name)


def _is_none(name: str) -> NotFound:
    return NotFound("contact.none", f"there is no contact {name}", Command("contact", "list"))
