"""What a removal shows beforehand is what it then does, counted in the tables, on both databases."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select

from mailrotate.adapters.problem_spool import ProblemSpool
from mailrotate.core.services.campaigns import reassigning
from mailrotate.core.services.campaigns.reassigning import Whom
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import mailbox_removal
from mailrotate.core.services.views import logbook
from mailrotate.core.store import tables as t
from tests.support.people import ANNA, BEN, CLARA, DUE, LATER, STEPS, name_step, person
from tests.support.rows import NOW, Sender, Workspace

KINDS = ("active", "waiting", "held", "new", "planned", "replied", "stopped", "failed")


def fill(workspace: Workspace, context: Context, anna: Sender, ben: Sender, *, names_anna: bool) -> None:
    """Add every kind of campaign, recipient and message that a removal of Anna's mailbox can affect.

    With `names_anna` also a step of Ben's campaign that names Anna as its own sender.
    """
    clara = workspace.add_mailbox(CLARA)
    rotation = workspace.add_campaign("rotation", [anna, ben], steps=STEPS)
    for kind in KINDS:
        person(workspace, rotation, f"{kind}@r.example.com", kind, anna)
        person(workspace, rotation, f"{kind}@b.example.com", kind, ben, number=1)
    single = workspace.add_campaign("single", [anna], rotates=False, steps=STEPS)
    name_step(workspace, single, 2, clara)
    (sender_id,) = workspace.senders(single)
    for kind in KINDS:
        found = person(workspace, single, f"{kind}@s.example.com", kind, anna)
        if kind in ("active", "failed", "replied"):
            # Of those who have ended, only what failed may still be retried.
            state = "cancelled" if kind == "replied" else "error" if kind == "failed" else "scheduled"
            workspace.add_message(
                clara, single, found, step=2, ready_at=DUE, state=state, campaign_sender_id=sender_id
            )
    named = workspace.add_campaign("named", [ben], rotates=False, steps=STEPS)
    if names_anna:
        name_step(workspace, named, 2, anna)
        waits = person(workspace, named, "waits@n.example.com", "active", ben)
        workspace.add_message(anna, named, waits, step=2, ready_at=DUE)
    workspace.add_campaign("draft", [anna], rotates=False, state="draft", steps=STEPS)
    for state in ("draft", "scheduled", "error", "held"):
        workspace.add_message(anna, state=state, claimed_at=NOW if state == "held" else None)
    over = workspace.add_campaign("over", [ben, clara], steps=STEPS)
    person(workspace, over, "taken@o.example.com", "waiting", ben)
    with ProblemSpool() as aside:
        whom = Whom(from_sender=BEN)
        assert reassigning.assign(context, "over", whom, ANNA, aside=aside, now=NOW).moved == 1


def stored(workspace: Workspace) -> tuple[dict[int, Any], dict[int, Any], dict[int, str]]:
    """Messages and people by id, and the names of campaigns."""
    m, r = t.message.c, t.recipient.c
    with workspace.store.reading() as connection:
        messages = {row.id: row for row in connection.execute(select(m.id, m.state, m.campaign_id))}
        columns = (r.id, r.campaign_id, r.state, r.reason, r.campaign_sender_id, r.assigned_reason)
        people = {row.id: row for row in connection.execute(select(*columns))}
        names = {row.id: row.name for row in connection.execute(select(t.campaign.c.id, t.campaign.c.name))}
    return messages, people, names


@pytest.mark.parametrize("move_to", [None, BEN])
def test_b8_d9_the_numbers_of_the_preview_are_those_of_the_deed(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender, move_to: str | None
) -> None:
    fill(workspace, context, anna, ben, names_anna=move_to is not None)
    told = mailbox_removal.consequences(context, ANNA, move_to)
    before_messages, before_people, names = stored(workspace)
    with workspace.store.reading() as connection:
        paused = set(connection.execute(select(t.campaign_pause.c.campaign_id)).scalars())
    assert vars(mailbox_removal.remove(context, ANNA, move_to=move_to, now=LATER)) == vars(told)
    messages, people, _ = stored(workspace)

    cancelled: Counter[str | None] = Counter()
    drafts = 0
    for number, message in messages.items():
        before = before_messages[number]
        if message.state == "cancelled" != before.state:
            cancelled[None if message.campaign_id is None else names[message.campaign_id]] += 1
            drafts += before.state == "draft"
    failed: Counter[str] = Counter()
    anew: Counter[str] = Counter()
    for number, one in people.items():
        before = before_people[number]
        if one.state == "failed" != before.state:
            assert one.reason == "mailbox_removed"
            failed[names[one.campaign_id]] += 1
        elif one.state == "queued" and one.campaign_sender_id != before.campaign_sender_id:
            anew[names[one.campaign_id]] += one.assigned_reason != "moved"
    with workspace.store.reading() as connection:
        now_paused = set(connection.execute(select(t.campaign_pause.c.campaign_id)).scalars()) - paused

    assert {one.name: one.cancelled for one in told.campaigns} == {
        one.name: cancelled[one.name] for one in told.campaigns
    }
    assert (told.drafts, told.drafts + told.waiting_messages) == (drafts, cancelled.total())
    assert {one.name: one.failed for one in told.campaigns} == {
        one.name: failed[one.name] for one in told.campaigns
    }
    assert {one.name: one.assigned_anew for one in told.campaigns} == {
        one.name: anew[one.name] for one in told.campaigns
    }
    assert {one.name for one in told.campaigns if one.pauses} == {names[number] for number in now_paused}
    with logbook.listing(context, logbook.Wanted(action="mailbox.removed"), after=None, limit=1) as lines:
        assert [line.data["cancelled"] for line in lines] == [cancelled.total()]
    if move_to is None:
        assert cancelled["single"] == 4, "two in Anna's own lane, two in that of the step's sender"
