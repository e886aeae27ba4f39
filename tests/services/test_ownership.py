"""Who may own an address, on both databases (A8, A9)."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from mailrotate.core.rules.transitions import CONNECTION
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import connecting, mailbox_settings, plan_changes, reconnecting
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.store import mailboxes, seat_addresses, senders, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.own_settings import OwnSettings
from mailrotate.core.values.states import ConnectionState
from tests.support.addresses import connect
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace

BEN = "ben@example.org"
LATER = NOW + timedelta(days=1)


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


def box_of(workspace: Workspace, address: str) -> StoredMailbox:
    with workspace.store.reading() as connection:
        found = mailboxes.by_address(connection, address)
    assert found is not None
    return found


def take_away(workspace: Workspace, address: str) -> None:
    """What is left of a mailbox that was removed."""
    with workspace.store.writing() as connection:
        box = mailboxes.by_address(connection, address)
        assert box is not None
        seat_addresses.release_all(connection, box.id)
        mailboxes.change(connection, box.id, removed_at=NOW)
        mailboxes.change_connection(
            connection, box.connection_id, state="disconnected", secret=None, disconnected_at=NOW
        )


def refusal(context: Context, address: str, user_email: str | None = None) -> Refused:
    """Why an address cannot be connected: before the login and within the transaction alike."""
    with pytest.raises(Refused) as early:
        connecting.refuse_connect(context, address, user_email, None, {})
    with pytest.raises(Refused) as late:
        connect(context, address, user_email)
    assert (early.value.code, early.value.message) == (late.value.code, late.value.message)
    return late.value


def test_a8_a_role_address_is_refused_unless_the_plan_permits_it(context: Context) -> None:
    refused = refusal(context, "sales+eu@example.org")
    assert (refused.code, refused.hint) == ("address.role", Command("plan", "set", "--role-addresses", "on"))
    plan_changes.change(context, PlanChange(role_addresses=True), NOW)
    assert connect(context, "sales+eu@example.org").address == "sales+eu@example.org"


def test_a8_what_is_on_a_seat_stays_usable_when_the_plan_becomes_stricter(context: Context) -> None:
    plan_changes.change(context, PlanChange(role_addresses=True), NOW)
    connect(context, "info@example.org")
    changed = plan_changes.change(
        context, PlanChange(role_addresses=False, approval_required=True), NOW, force=True
    )
    assert (changed.over.role_addresses, changed.unapproved) == (["info@example.org"], 1)
    reconnecting.disconnect(context, "info@example.org", LATER)
    assert connect(context, "info@example.org", now=LATER).warnings == ()


def test_a8_another_users_own_address_is_refused_however_it_is_spelt(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_user("ben.blum@gmail.com")
    refused = refusal(context, "benblum+x@googlemail.com")
    assert refused.code == "address.another_user"
    assert "ben.blum@gmail.com" in refused.message
    assert refused.hint == Command(
        "mailbox", "connect", "benblum+x@googlemail.com", "--for", "ben.blum@gmail.com"
    )
    assert connect(context, "benblum+x@googlemail.com", "ben.blum@gmail.com").warnings == ()


def test_a8_an_address_that_shows_nothing_of_its_user_is_warned_about_in_a_team(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_user("ben@example.org")
    (odd,) = connect(context, "zoe@example.org").warnings
    assert odd == "zoe@example.org does not look like an address of Ada Admin (admin@example.org)"
    assert connect(context, "ada@example.net").warnings == ()


def test_a6_one_operator_alone_is_not_warned_about_names(context: Context) -> None:
    assert connect(context, "zoe@example.org").warnings == ()


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("an.na@gmail.com", "anna+news@googlemail.com"),
        ("anna@xn--bcher-kva.example", "anna@bücher.example"),
        ("anna@example.org", "ANNA@example.org"),
    ],
)
def test_a9_an_address_is_on_one_seat_however_it_is_spelt(
    workspace: Workspace, context: Context, held: str, wanted: str
) -> None:
    from mailrotate.core.values.address import normalise_address

    wanted = normalise_address(wanted)
    workspace.add_user(BEN)
    connect(context, held)
    refused = refusal(context, wanted, BEN)
    assert refused.code == "mailbox.elsewhere"
    assert "admin@example.org" in refused.message
    assert held in refused.message
    assert refused.hint == Command("mailbox", "remove", held)


def test_a9_also_on_the_same_seat(context: Context) -> None:
    connect(context, "an.na@gmail.com")
    refused = refusal(context, "anna@gmail.com")
    assert (refused.code, refused.hint) == (
        "mailbox.on_seat",
        Command("mailbox", "remove", "an.na@gmail.com"),
    )
    assert refusal(context, "an.na@gmail.com").code == "mailbox.connected"


def test_a9_a_locked_seat_holds_its_addresses_and_the_refusal_says_so(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_mailbox("ben@example.net", workspace.add_user(BEN))
    with workspace.store.writing() as connection:
        connection.execute(update(t.user).where(t.user.c.email == BEN).values(state="locked"))
    assert f"belongs to {BEN} (locked)" in refusal(context, "ben@example.net").message


def test_a9_a_disconnected_mailbox_is_held_and_comes_back_to_its_own_seat_alone(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_user(BEN)
    connect(context, "anna@example.org")
    reconnecting.disconnect(context, "anna@example.org", NOW)
    assert refusal(context, "anna@example.org", BEN).code == "mailbox.elsewhere"
    before = box_of(workspace, "anna@example.org").id
    assert connect(context, "anna@example.org", now=LATER).mailbox_id == before
    assert refusal(context, "anna@example.org", BEN).code == "mailbox.elsewhere"


def test_a9_a_removed_mailbox_may_come_to_any_seat_and_begins_anew_with_its_history(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_user(BEN)
    first = connect(context, "anna@example.org")
    mailbox_settings.change(
        context, "anna@example.org", {"sender_name": "Anna A.", "timezone": "Asia/Tokyo"}, NOW
    )
    sender = box_of(workspace, "anna@example.org")
    campaign = workspace.add_campaign("autumn", [workspace.add_mailbox("zoe@example.org")])
    with workspace.store.writing() as connection:
        senders.replace_senders(connection, campaign.id, slot_id=None, mailbox_ids=[sender.id], now=NOW)
        mailboxes.change(connection, sender.id, paused_at=NOW)
    take_away(workspace, "anna@example.org")

    again = connect(context, "anna@example.org", BEN, LATER)
    box = box_of(workspace, "anna@example.org")
    assert (again.mailbox_id, again.user, again.reset) == (first.mailbox_id, BEN, {})
    assert box.removed_at is None
    with workspace.store.reading() as connection:
        sending = sending_mailboxes.by_id(connection, box.id)
    assert (sending.health.paused_at, sending.settings.own) == (None, OwnSettings())
    assert (box.state, box.user_email) == (ConnectionState.CONNECTED, BEN)
    with workspace.store.reading() as connection:
        (left,) = senders.senders_of(connection, campaign.id)
        assert left.left_at == LATER
    assert refusal(context, "anna@example.org").code == "mailbox.elsewhere"


def test_a9_whoever_is_quicker_has_it_and_the_other_is_told(workspace: Workspace, context: Context) -> None:
    """Two connects of one address in two spellings, of which the second begins before the first has ended."""
    workspace.add_user(BEN)
    told: list[object] = []

    def second() -> None:
        try:
            told.append(connect(context, "anna@gmail.com", BEN))
        except Refused as refused:
            told.append(refused.code)

    thread = threading.Thread(target=second)
    with workspace.store.writing() as connection:
        from mailrotate.core.store import connections as stored

        workspaces.lock(connection)
        thread.start()
        thread.join(0.5)
        stored.insert_mailbox(connection, "an.na@gmail.com", workspace.admin.id, NOW)
        query = select(t.slot.c.id).where(t.slot.c.user_id == workspace.admin.id).limit(1)
        stored.insert_connection(connection, CONNECTION["connect"],
            connection.execute(select(t.mailbox.c.id)).scalar_one(),
            connection.execute(query).scalar_one(),
            NOW,
            provider="imap",
            username="anna",
            smtp_host="h", smtp_port=1, smtp_security="tls", imap_host="h", imap_port=1, imap_security="tls",
        )  # fmt: skip
    thread.join(30)
    assert told == ["mailbox.elsewhere"]


def test_a9_the_key_itself_refuses_whoever_asked_nobody(workspace: Workspace) -> None:
    anna = workspace.add_mailbox("an.na@gmail.com")
    with workspace.store.writing() as connection:
        with pytest.raises(Refused) as refused:
            seat_addresses.hold(connection, "anna@gmail.com", anna.id)
        assert refused.value.code == "mailbox.elsewhere"
        # The transaction goes on.
        assert seat_addresses.holding(connection, "anna@gmail.com") is not None
