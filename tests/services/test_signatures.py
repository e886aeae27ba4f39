"""Signatures of a mailbox, on both databases (B3, C4)."""

import pytest

from mailrotate.core.rules.transitions import CONNECTION
from mailrotate.core.services.campaigns import previewing
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import connecting, mailbox_views, signature_editing
from mailrotate.core.store import connections, events
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import Command
from tests.support.people import ANNA
from tests.support.rows import NOW, Sender, Workspace


def mains(context: Context) -> dict[str, bool]:
    return {each.name: each.is_main for each in signature_editing.listing(context, ANNA).signatures}


def test_b3_of_several_signatures_one_is_the_main_one_or_none(context: Context, anna: Sender) -> None:
    signature_editing.add(context, ANNA, "work", "**Anna**", NOW)
    assert mains(context) == {"work": False}
    signature_editing.add(context, ANNA, "short", "A.", NOW, main=True)
    signature_editing.choose_main(context, ANNA, "work", NOW)
    assert mains(context) == {"work": True, "short": False}
    shown = {setting.name: setting.value for setting in mailbox_views.show(context, ANNA, NOW).settings}
    assert shown["signature"] == "work"
    assert signature_editing.show(context, ANNA, "work").body == "**Anna**"
    signature_editing.remove(context, ANNA, "short", NOW)
    signature_editing.choose_main(context, ANNA, None, NOW)
    assert mains(context) == {"work": False}
    signature_editing.remove(context, ANNA, "work", NOW)
    assert mains(context) == {}


def test_b3_an_edit_reaches_every_message_that_is_not_yet_being_sent(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    workspace.add_recipient(campaign, "kim@example.com", fields={"name": "Kim"})
    before = previewing.preview(context, "autumn", None, 1, NOW).text
    signature_editing.add(context, ANNA, "work", "**Anna** for {{ email }}", NOW, main=True)
    shown = previewing.preview(context, "autumn", None, 1, NOW)
    assert "-- \nAnna for kim@example.com" in shown.text
    assert "-- " not in before
    assert "<strong>Anna</strong> for kim@example.com" in shown.html
    signature_editing.edit(context, ANNA, "work", "Yours, Anna", NOW)
    assert "-- \nYours, Anna" in previewing.preview(context, "autumn", None, 1, NOW).text


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("", "x", "signature.name"),
        ("two\nlines", "x", "signature.name"),
        ("work", " \n", "signature.empty"),
        ("work", "x" * 10_001, "signature.too_long"),
        ("work", "a\0b", "signature.unreadable"),
    ],
)
def test_b3_a_signature_that_cannot_be_is_refused(
    context: Context, anna: Sender, name: str, body: str, code: str
) -> None:
    with pytest.raises(BadInput) as refused:
        signature_editing.add(context, ANNA, name, body, NOW)
    assert refused.value.code == code
    assert mains(context) == {}


def test_b3_a_name_is_given_once_and_must_be_known(context: Context, anna: Sender) -> None:
    signature_editing.add(context, ANNA, "work", "x", NOW)
    with pytest.raises(Refused) as twice:
        signature_editing.add(context, ANNA, "work", "y", NOW)
    assert twice.value.hint == Command("mailbox", "signature", "edit", ANNA, "work", "--body", "FILE")
    for deed in (
        lambda: signature_editing.edit(context, ANNA, "wrok", "y", NOW),
        lambda: signature_editing.choose_main(context, ANNA, "wrok", NOW),
        lambda: signature_editing.remove(context, ANNA, "wrok", NOW),
        lambda: signature_editing.show(context, ANNA, "wrok"),
        lambda: signature_editing.restore(context, ANNA, "wrok", NOW),
    ):
        with pytest.raises(NotFound) as unknown:
            deed()
        assert unknown.value.code == "signature.none"


def test_b3_each_change_of_a_signature_is_logged_without_its_words(context: Context, anna: Sender) -> None:
    signature_editing.add(context, ANNA, "work", "secret words", NOW, main=True)
    signature_editing.edit(context, ANNA, "work", "twelve signs", NOW)
    signature_editing.edit(context, ANNA, "work", "twelve signs", NOW)  # the same again is no change
    signature_editing.remove(context, ANNA, "work", NOW)
    with context.store.reading() as connection:
        told = [dict(event.data) for event in events.listing(connection)]
    assert [data["key"] for data in told] == [
        "signature work", "main_signature", "signature work", "main_signature", "signature work",
    ]  # fmt: skip
    added, chosen, edited, unchosen, removed = ((data["before"], data["after"]) for data in told)
    assert (chosen, unchosen) == ((None, "work"), ("work", None))
    assert (added[0], edited[0], removed) == (None, added[1], (edited[1], None))
    assert edited[0] != edited[1], "as long as before, and not the same"
    assert all("secret" not in str(data) for data in told)


def test_c4_a_signature_of_before_can_be_taken_over_as_the_reset_says(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    signature_editing.add(context, ANNA, "my work", "Anna", NOW, main=True)
    with context.store.writing() as connection:
        former = stored.by_address(connection, ANNA)
        assert former is not None
        told = connecting.reset_of(connection, former, {})
        login = connections.login_of(connection, anna.id)
        connections.supersede(connection, anna.id, NOW)
        servers = connections.server_columns(login.smtp, login.imap)
        connections.insert_connection(
            connection,
            CONNECTION["connect"],
            anna.id,
            anna.slot_id,
            NOW,
            provider="imap",
            username=ANNA,
            **servers,
        )
    assert told["signature my work"] == Command("mailbox", "signature", "restore", ANNA, "my work")
    assert mains(context) == {}
    signature_editing.restore(context, ANNA, "my work", NOW)
    assert mains(context) == {"my work": True}
    with pytest.raises(Refused) as twice:
        signature_editing.restore(context, ANNA, "my work", NOW)
    assert twice.value.code == "signature.exists"
    signature_editing.remove(context, ANNA, "my work", NOW)
    signature_editing.add(context, ANNA, "new", "A.", NOW, main=True)
    signature_editing.restore(context, ANNA, "my work", NOW)
    assert mains(context) == {"new": True, "my work": False}, "what was chosen since stays the main one"
