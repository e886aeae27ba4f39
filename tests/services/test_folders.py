"""Folders that are read beside the INBOX, on both databases against a real Dovecot (B3, G3)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import update

from mailrotate.core.services.access.secrets import secret_name
from mailrotate.core.services.context import Context, account_of
from mailrotate.core.services.mailboxes import connecting, mailbox_settings, mailbox_views
from mailrotate.core.services.sending import inbox_reading, lane_holding
from mailrotate.core.store import connections, events
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.sending import outbox, sending_mailboxes
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.errors import Busy, NotFound, Refused, RemoteError
from mailrotate.core.values.hint import Command
from tests.support.contexts import context_of
from tests.support.dovecot import Dovecot
from tests.support.rows import NOW, Sender, Workspace

LATER = NOW + timedelta(minutes=5)
_numbers = count(1)


@pytest.fixture
def anna(workspace: Workspace, dovecot: Dovecot) -> Sender:
    address = f"anna{next(_numbers)}@example.org"
    dovecot.add_user(address, "secret")
    here = {"imap_host": "127.0.0.1", "imap_port": dovecot.imap_port, "imap_security": "none"}
    return workspace.add_mailbox(address, **here)


@pytest.fixture
def context(workspace: Workspace, anna: Sender) -> Context:
    context = context_of(workspace)
    sealed = context.secrets.seal(secret_name(anna.connection_id), 1, b"secret")
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(secret=sealed))
    return context


def box_of(context: Context, anna: Sender) -> SendingMailbox:
    with context.store.reading() as connection:
        return sending_mailboxes.by_id(connection, anna.id)


def choose(context: Context, address: str, names: Sequence[str], now: datetime) -> tuple[str, ...]:
    """The folders that are read from then on."""
    mailbox_settings.change(context, address, {"folders": names or ["default"]}, now)
    return tuple(folder.name for folder in mailbox_views.show(context, address, now).folders)


def read(context: Context, anna: Sender) -> int:
    """The replies that are found now."""
    box = box_of(context, anna)
    with context.store.reading() as connection:
        login = connections.login_of(connection, anna.id)
    session = context.provider("imap").open_inbox(account_of(context, login))
    try:
        return inbox_reading.read_inbox(context, session, box, LATER).replies
    finally:
        session.close()


def written_to(workspace: Workspace, anna: Sender, *people: str) -> list[str]:
    """The Message-IDs of what a campaign has sent to each."""
    campaign = workspace.add_campaign("autumn", [anna])
    sent = [
        workspace.add_message(
            anna,
            campaign,
            workspace.add_recipient(campaign, person, state="active"),
            state="sent",
            sent_at=NOW,
        )
        for person in people
    ]
    with workspace.store.reading() as connection:
        found = [outbox.by_id(connection, message) for message in sent]
    return [message.message_id for message in found if message is not None]


def reply(sender: str, message_id: str) -> bytes:
    return f"From: {sender}\r\nIn-Reply-To: {message_id}\r\nSubject: Re\r\n\r\nYes\r\n".encode()


def in_folder(anna: Sender, folder: str) -> str:
    """Where a rule of Dovecot's delivers to, which sorts by what stands behind the plus."""
    return anna.address.replace("@", f"+{folder}@")


def test_g3_a_reply_that_the_server_sorted_into_a_chosen_folder_is_recognised(
    workspace: Workspace, context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    kims, lees = written_to(workspace, anna, "kim@example.com", "lee@example.com")
    dovecot.add_folder(anna.address, "Replies")
    assert read(context, anna) == 0
    dovecot.deliver(in_folder(anna, "Replies"), reply("kim@example.com", kims))
    assert read(context, anna) == 0
    assert choose(context, anna.address, ["inbox", "Replies", "Replies"], NOW) == (
        "INBOX",
        "Replies",
    )
    # What came before the folder was chosen stays unread, as in an INBOX that is connected.
    assert read(context, anna) == 0
    dovecot.deliver(in_folder(anna, "Replies"), reply("kim@example.com", kims))
    dovecot.deliver(anna.address, reply("lee@example.com", lees))
    assert read(context, anna) == 2
    assert read(context, anna) == 0


def test_g3_what_comes_between_the_choice_and_the_first_reading_is_read(
    workspace: Workspace, context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    (kims,) = written_to(workspace, anna, "kim@example.com")
    dovecot.add_folder(anna.address, "Archive")
    choose(context, anna.address, ["Archive"], NOW)
    dovecot.deliver(in_folder(anna, "Archive"), reply("kim@example.com", kims))
    assert read(context, anna) == 1


def test_g3_what_the_mailbox_itself_wrote_is_no_reply_in_any_folder(
    workspace: Workspace, context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    """A follow-up that is filed as sent cites the message before."""
    (kims,) = written_to(workspace, anna, "kim@example.com")
    choose(context, anna.address, ["Sent"], NOW)
    dovecot.deliver(in_folder(anna, "Sent"), reply(f"Anna <{anna.address.upper()}>", kims))
    assert read(context, anna) == 0
    dovecot.deliver(in_folder(anna, "Sent"), reply("kim@example.com", kims))
    assert read(context, anna) == 1


def test_b3_g3_a_folder_with_quotes_and_backslashes_in_its_name_is_read(
    workspace: Workspace, context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    (kims,) = written_to(workspace, anna, "kim@example.com")
    on_the_wire, name = 'Kim\\"s \\\\ answers', 'Kim"s \\ answers'
    dovecot.add_folder(anna.address, on_the_wire)
    assert choose(context, anna.address, [name], NOW) == ("INBOX", name)
    dovecot.file(anna.address, on_the_wire, reply("kim@example.com", kims))
    assert read(context, anna) == 1


def test_g3_a_folder_that_is_chosen_again_is_read_from_where_it_was_left(
    workspace: Workspace, context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    """Who answered meanwhile is not written to again (D6); nothing older than the first choice is read."""
    kims, lees, mias = written_to(workspace, anna, "kim@example.com", "lee@example.com", "mia@example.com")
    dovecot.add_folder(anna.address, "Replies")
    dovecot.file(anna.address, "Replies", reply("mia@example.com", mias))
    choose(context, anna.address, ["Replies"], NOW)
    dovecot.file(anna.address, "Replies", reply("kim@example.com", kims))
    assert read(context, anna) == 1
    choose(context, anna.address, [], NOW)
    dovecot.file(anna.address, "Replies", reply("lee@example.com", lees))
    assert read(context, anna) == 0
    choose(context, anna.address, ["Replies"], NOW)
    assert (read(context, anna), read(context, anna)) == (1, 0)


def test_g3_a_folder_that_was_made_anew_since_is_read_whole(
    workspace: Workspace, context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    """Where it was left says nothing of another folder of that name."""
    (kims,) = written_to(workspace, anna, "kim@example.com")
    dovecot.add_folder(anna.address, "Replies")
    dovecot.file(anna.address, "Replies", reply("away@example.com", "<other@example.com>"))
    for names in (["Replies"], []):
        choose(context, anna.address, names, NOW)
    dovecot.remove_folder(anna.address, "Replies")
    dovecot.add_folder(anna.address, "Replies")
    dovecot.file(anna.address, "Replies", reply("kim@example.com", kims))
    choose(context, anna.address, ["Replies"], NOW)
    assert read(context, anna) == 1


def test_g3_of_many_folders_the_ten_nearest_are_named_the_nearest_first(
    context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    for number in range(12):
        dovecot.add_folder(anna.address, f"Lists/{number:02}")
    dovecot.add_folder(anna.address, "lists/Answers")
    with pytest.raises(NotFound) as refused:
        choose(context, anna.address, ["Lists/Answer"], NOW)
    named = refused.value.message.partition("did you mean ")[2].split(", ")
    assert (named[0], len(named)) == ("'lists/Answers'", 10)
    assert refused.value.hint == Command("mailbox", "set", anna.address, "--folders", "lists/Answers")


def test_g3_a_folder_that_the_server_does_not_have_is_refused(
    context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    dovecot.add_folder(anna.address, "Our replies")
    with pytest.raises(NotFound) as refused:
        choose(context, anna.address, ["Sent", "Our replys"], NOW)
    assert refused.value.message.endswith(
        "has no folder 'Our replys' on its server; did you mean 'Our replies', 'Sent', 'INBOX'?"
    )
    assert refused.value.hint == Command("mailbox", "set", anna.address, "--folders", "Our replies")
    assert box_of(context, anna).settings.folders == ("INBOX",)


def test_g3_h5_a_folder_that_vanishes_is_a_note_and_holds_nothing_back(
    workspace: Workspace, context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    (kims,) = written_to(workspace, anna, "kim@example.com")
    for name in ("First", "Second"):
        dovecot.add_folder(anna.address, name)
    choose(context, anna.address, ["First", "Second"], NOW)
    dovecot.remove_folder(anna.address, "First")
    read(context, anna)
    dovecot.deliver(in_folder(anna, "Second"), reply("kim@example.com", kims))
    assert read(context, anna) == 1
    shown = mailbox_views.show(context, anna.address, LATER)
    inbox, first, second = shown.folders
    assert first.error is not None
    assert "First" in first.error
    assert (inbox.error, second.error, second.read_at) == (None, None, LATER)
    assert (shown.listed.state, shown.inbox_error) == ("connected", None)
    assert box_of(context, anna).inbox.failing_since is None
    choose(context, anna.address, ["Second"], LATER)
    assert [folder.error for folder in mailbox_views.show(context, anna.address, LATER).folders] == [
        None,
        None,
    ]


def test_g3_nothing_changes_where_the_server_cannot_be_asked(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    with workspace.store.writing() as connection:
        stored.change_connection(connection, anna.connection_id, imap_port=9)
    with pytest.raises(RemoteError) as unreachable:
        choose(context, anna.address, ["Replies"], NOW)
    assert unreachable.value.code == "folder.unreadable"
    assert choose(context, anna.address, [], NOW) == ("INBOX",)


def test_g3_the_server_is_asked_in_the_mailboxs_lane(context: Context, anna: Sender) -> None:
    with lane_holding.holding_lane(context, anna.id, NOW), pytest.raises(Busy):
        choose(context, anna.address, ["Sent"], NOW)


def test_g3_a_disconnected_mailbox_has_no_folders_to_choose(workspace: Workspace) -> None:
    workspace.add_mailbox("ben@example.org", state="disconnected")
    with pytest.raises(Refused) as refused:
        choose(context_of(workspace), "ben@example.org", [], NOW)
    assert refused.value.code == "mailbox.disconnected"


def test_g3_c4_the_choice_is_logged_and_what_begins_anew_says_how_to_choose_again(
    context: Context, anna: Sender, dovecot: Dovecot
) -> None:
    dovecot.add_folder(anna.address, "Our replies")
    for chosen in (["Sent", "Our replies"], ["Sent", "Our replies"]):
        choose(context, anna.address, chosen, NOW)
    with context.store.reading() as connection:
        (told,) = [event.data for event in events.listing(connection) if event.action == "mailbox.set"]
        reset = connecting.reset_of(connection, box_of(context, anna), {})
    assert told == {"key": "folders", "before": ["INBOX"], "after": ["INBOX", "Sent", "Our replies"]}
    assert reset["folders"] == Command(
        "mailbox", "set", anna.address, "--folders", "Sent", "--folders", "Our replies"
    )
