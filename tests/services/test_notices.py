"""Notices of failed mailboxes: when they are planned, from where and to whom (C10), on each database."""

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from mailrotate.core.rules.transitions import USER
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import health, notice_planning
from mailrotate.core.services.views import overview
from mailrotate.core.store import mailboxes, moves
from mailrotate.core.store import tables as t
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.states import ReplyClass, Role
from tests.support.contexts import context_of
from tests.support.people import person
from tests.support.rows import NOW, Sender, Workspace

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
REFUSED = "auth: 535 5.7.8 Username and password not accepted"


@pytest.fixture
def context(workspace: Workspace) -> Context:
    """The admin is admin@example.org, whose address is no mailbox."""
    return context_of(workspace)


@pytest.fixture
def una(workspace: Workspace) -> StoredUser:
    return workspace.add_user("una@home.example")


@pytest.fixture
def anna(workspace: Workspace, una: StoredUser) -> Sender:
    return workspace.add_mailbox("anna@example.org", una)


@pytest.fixture
def ben(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("ben@example.org", workspace.add_user("ben@home.example"))


def fail(workspace: Workspace, *boxes: Sender, at: datetime = NOW) -> None:
    with workspace.store.writing() as connection:
        for box in boxes:
            health.fail(connection, mailboxes.by_id(connection, box.id), ReplyClass.AUTH, REFUSED, at)


def recover(workspace: Workspace, box: Sender, at: datetime) -> None:
    with workspace.store.writing() as connection:
        health.recover(connection, mailboxes.by_id(connection, box.id), at)


def set_deadline(workspace: Workspace, box: Sender, ends_at: datetime, **values: Any) -> None:
    """Change the deadline that the failure has started in a rotation."""
    with workspace.store.writing() as connection:
        own = update(t.deadline).where(t.deadline.c.mailbox_id == box.id)
        assert connection.execute(own.values(ends_at=ends_at, **values)).rowcount == 1


def mails(workspace: Workspace) -> list[tuple[str, str, str, dict[str, str]]]:
    """From, to, state and words of every notice's message."""
    m = t.message.c
    query = select(m.from_address, m.to_address, m.state, m.fields).where(m.kind == "notice").order_by(m.id)
    with workspace.store.reading() as connection:
        return [(*row[:3], json.loads(row[3])) for row in connection.execute(query)]


def rows(workspace: Workspace) -> list[tuple[int, str, str]]:
    n = t.notice.c
    with workspace.store.reading() as connection:
        found = connection.execute(select(n.mailbox_id, n.nth, n.addressee).order_by(n.id))
        return [(row[0], row[1], row[2]) for row in found]


def leave(workspace: Workspace, state: str = "sent", **values: Any) -> None:
    """What the lanes do with the notices that wait."""
    left = update(t.message).where(t.message.c.kind == "notice", t.message.c.state == "scheduled")
    with workspace.store.writing() as connection:
        connection.execute(left.values(state=state, claimed_at=NOW, **values))


def logged(workspace: Workspace, action: str) -> list[dict[str, Any]]:
    query = select(t.event.c.data).where(t.event.c.action == action).order_by(t.event.c.id)
    with workspace.store.reading() as connection:
        return [json.loads(data) for data in connection.execute(query).scalars()]


def test_c10_a_failure_is_told_at_once_from_another_mailbox_to_the_users_own_address(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("intro", [anna, ben])
    for number in range(3):
        person(workspace, campaign, f"p{number}@example.com", "active", anna)
    for number in range(3, 5):
        person(workspace, campaign, f"p{number}@example.com", "new", anna)
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    ((sender, to, state, words),) = mails(workspace)
    assert (sender, to, state) == (ben.address, "una@home.example", "scheduled")
    assert words["subject"] == "anna@example.org has failed"
    assert "Its server said: login: 535 5.7.8 Username and password not accepted" in words["text"]
    assert (
        "In intro, 3 recipients will be stopped at 2026-12-10 10:00:01 Europe/Berlin; "
        "2 recipients not contacted yet will go to other senders." in words["text"]
    )
    assert logged(workspace, "notice.failure") == [
        {"failed_at": "2026-12-01T09:00:00.123456Z", "mails": 1, "nth": "0"}
    ]


def test_c10_field_13_however_often_it_runs_each_notice_is_given_once_and_the_last_says_irreversible(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("intro", [anna, ben])
    person(workspace, campaign, "p0@example.com", "active", anna)
    fail(workspace, anna)
    for hour in range(0, 10 * 24, 6):
        for _ in range(2):
            notice_planning.plan(context, NOW + timedelta(hours=hour))
    assert [nth for _, nth, _ in rows(workspace)] == ["0", "1", "3", "6", "8", "end 1"]
    irreversible = ["irreversible" in words["text"] for *_, words in mails(workspace)]
    assert irreversible == [False] * 4 + [True, False]


def test_c10_after_a_gap_only_the_end_is_told_with_those_who_were_stopped(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("intro", [anna, ben])
    for number in range(3):
        person(workspace, campaign, f"p{number}@example.com", "stopped", anna)
    fail(workspace, anna)
    end = NOW + 9 * DAY
    set_deadline(workspace, anna, end, ended_at=end)
    notice_planning.plan(context, NOW + timedelta(days=10.5))
    ((_, _, _, words),) = mails(workspace)
    assert words["subject"] == "anna@example.org: 3 recipients stopped"
    assert [nth for _, nth, _ in rows(workspace)] == ["end 1"]


def test_c12_a_deadline_that_ended_before_its_time_is_not_announced(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    workspace.add_campaign("intro", [anna, ben])
    fail(workspace, anna)
    set_deadline(workspace, anna, NOW + 2 * DAY, ended_at=NOW + DAY)
    notice_planning.plan(context, NOW + timedelta(days=2.5))
    assert [nth for _, nth, _ in rows(workspace)] == ["1"]


def test_c10_the_end_of_an_earlier_failure_is_not_announced_again(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    workspace.add_campaign("intro", [anna, ben])
    fail(workspace, anna)
    end = NOW + 9 * DAY
    set_deadline(workspace, anna, end, ended_at=end)
    notice_planning.plan(context, end)
    recover(workspace, anna, end + DAY)
    fail(workspace, anna, at=end + 5 * DAY)
    notice_planning.plan(context, end + 5 * DAY)
    assert [nth for _, nth, _ in rows(workspace)] == ["end 1", "0"]


def test_c14_a_single_sender_campaign_has_notices_and_no_end(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("solo", [anna], rotates=False)
    person(workspace, campaign, "p0@example.com", "active", anna)
    fail(workspace, anna)
    for day in range(30):
        notice_planning.plan(context, NOW + day * DAY)
    assert [nth for _, nth, _ in rows(workspace)] == ["0", "1", "3", "6", "8"]
    texts = [words["text"] for *_, words in mails(workspace)]
    assert all("In solo, 1 recipient waits until it is reconnected." in text for text in texts)
    assert not any("irreversible" in text for text in texts)


# --- from where and to whom


def test_c10_another_mailbox_of_the_same_user_comes_first(
    context: Context, workspace: Workspace, una: StoredUser, ben: Sender, anna: Sender
) -> None:
    workspace.add_mailbox("second@example.org", una)
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    assert [sender for sender, *_ in mails(workspace)] == ["second@example.org"]


@pytest.mark.parametrize(
    "trouble",
    [
        {"paused_at": NOW},
        {"hold_reason": "sender: 550 blocked", "hold_class": "sender"},
        {"hold_reason": "limit", "hold_class": "limit", "hold_until": NOW + DAY},
    ],
)
def test_c10_a_rested_or_held_mailbox_sends_a_notice_only_where_there_is_no_other(
    context: Context,
    workspace: Workspace,
    anna: Sender,
    ben: Sender,
    una: StoredUser,
    trouble: dict[str, object],
) -> None:
    second = workspace.add_mailbox("second@example.org", una)
    with workspace.store.writing() as connection:
        mailboxes.change(connection, second.id, **trouble)
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    fail(workspace, ben, at=NOW + MINUTE)
    notice_planning.plan(context, NOW + MINUTE)
    assert [(sender, state) for sender, _, state, _ in mails(workspace)] == [
        (ben.address, "cancelled"),
        (second.address, "scheduled"),
        (second.address, "scheduled"),
    ]


def test_c10_where_the_users_own_address_is_the_broken_mailbox_the_admins_are_told(
    context: Context, workspace: Workspace, ben: Sender
) -> None:
    workspace.add_user("root@example.net", Role.ADMIN)
    itself = workspace.add_user("anna@example.org")
    broken = workspace.add_mailbox("anna@example.org", itself)
    fail(workspace, broken)
    notice_planning.plan(context, NOW)
    assert [to for _, to, *_ in mails(workspace)] == ["admin@example.org", "root@example.net"]
    assert len(logged(workspace, "notice.failure")) == 1


def test_c10_where_no_admin_has_another_address_the_working_mailbox_writes_to_itself(
    context: Context, workspace: Workspace, ben: Sender
) -> None:
    broken = workspace.add_mailbox("admin@example.org")
    fail(workspace, broken)
    notice_planning.plan(context, NOW)
    assert [(sender, to) for sender, to, *_ in mails(workspace)] == [(ben.address, ben.address)]


def test_c10_another_spelling_of_a_broken_mailbox_is_broken_too(
    context: Context, workspace: Workspace, ben: Sender
) -> None:
    user = workspace.add_user("an.na+home@gmail.com")
    fail(workspace, workspace.add_mailbox("anna@gmail.com", user))
    notice_planning.plan(context, NOW)
    assert [to for _, to, *_ in mails(workspace)] == ["admin@example.org"]


def test_a10_a_locked_users_notices_go_to_the_admins_and_their_mailboxes_send_none(
    context: Context, workspace: Workspace, una: StoredUser, anna: Sender, ben: Sender
) -> None:
    workspace.add_mailbox("second@example.org", una)
    with workspace.store.writing() as connection:
        moves.move(connection, USER["lock"], una.id)
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    assert [(sender, to) for sender, to, *_ in mails(workspace)] == [(ben.address, "admin@example.org")]


def test_c10_a_workspace_with_one_mailbox_tells_nobody_by_mail_and_says_so_in_status(
    context: Context, workspace: Workspace, anna: Sender
) -> None:
    fail(workspace, anna)
    for day in (0, 1, 1, 3):
        notice_planning.plan(context, NOW + day * DAY)
    assert mails(workspace) == []
    assert [told["mails"] for told in logged(workspace, "notice.failure")] == [0, 0, 0]
    assert overview.look(context, NOW + 3 * DAY).telling.untold == (anna.address,)
    workspace.add_mailbox("late@example.org")
    notice_planning.plan(context, NOW + 6 * DAY)
    assert [to for _, to, *_ in mails(workspace)] == ["una@home.example"]
    assert overview.look(context, NOW + 6 * DAY).telling.untold == ()


def test_c10_field_07_thirty_mailboxes_that_fail_together_are_one_mail_and_thirty_rows(
    context: Context, workspace: Workspace, una: StoredUser, ben: Sender
) -> None:
    boxes = [workspace.add_mailbox(f"m{number}@example.org", una) for number in range(30)]
    fail(workspace, *boxes)
    notice_planning.plan(context, NOW)
    notice_planning.plan(context, NOW + MINUTE)
    ((_, to, _, words),) = mails(workspace)
    assert (to, words["subject"]) == ("una@home.example", "30 mailboxes need your attention")
    assert all(f"{box.address} has failed since" in words["text"] for box in boxes)
    assert sorted(rows(workspace)) == [(box.id, "0", to) for box in boxes]


# --- its end


def test_c10_field_08_a_recovery_is_told_once_to_those_who_had_a_notice_with_the_campaigns_that_wait(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    workspace.add_campaign("solo", [anna], rotates=False)
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    leave(workspace)
    recover(workspace, anna, NOW + DAY)
    for _ in range(3):
        notice_planning.plan(context, NOW + DAY)
    *_, (_, to, state, words) = mails(workspace)
    assert len(mails(workspace)) == 2
    assert (to, state, words["subject"]) == ("una@home.example", "scheduled", "anna@example.org works again")
    assert "solo is still paused." in words["text"]
    assert len(logged(workspace, "notice.recovery")) == 1


def test_c10_a_notice_that_has_not_left_is_dropped_when_the_trouble_is_over_and_nobody_hears_of_its_end(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    recover(workspace, anna, NOW + MINUTE)
    notice_planning.plan(context, NOW + MINUTE)
    notice_planning.plan(context, NOW + 2 * MINUTE)
    assert [state for _, _, state, _ in mails(workspace)] == ["cancelled"]
    assert logged(workspace, "notice.recovery") == []


def test_c10_a_recovery_is_not_dropped_as_out_of_date(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    leave(workspace)
    recover(workspace, anna, NOW + MINUTE)
    for minute in range(1, 5):
        notice_planning.plan(context, NOW + minute * MINUTE)
    assert [state for _, _, state, _ in mails(workspace)] == ["sent", "scheduled"]


@pytest.mark.parametrize(
    ("later", "expected"), [(23, ["0", "recovery", "1"]), (25, ["0", "recovery", "0", "1"])]
)
def test_c10_field_09_failing_again_within_a_day_leaves_out_the_first_notice_and_no_other(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender, later: int, expected: list[str]
) -> None:
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    leave(workspace)
    recover(workspace, anna, NOW + MINUTE)
    notice_planning.plan(context, NOW + MINUTE)
    again = NOW + MINUTE + timedelta(hours=later)
    fail(workspace, anna, at=again)
    notice_planning.plan(context, again)
    notice_planning.plan(context, again + DAY)
    assert [nth for _, nth, _ in rows(workspace)] == expected


def test_c10_a_disconnected_mailbox_is_announced_no_more(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    leave(workspace)
    with workspace.store.writing() as connection:
        connection.execute(
            update(t.connection).where(t.connection.c.mailbox_id == anna.id).values(state="disconnected")
        )
    for day in (1, 3, 9):
        notice_planning.plan(context, NOW + day * DAY)
    assert len(mails(workspace)) == 1


# --- on its way


def test_c10_a_notice_moves_to_another_mailbox_when_its_own_fails_before_it_left(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    clara = workspace.add_mailbox("clara@example.org")
    fail(workspace, ben, at=NOW + MINUTE)
    notice_planning.plan(context, NOW + MINUTE)
    notice_planning.plan(context, NOW + 2 * MINUTE)
    assert [(sender, to, state) for sender, to, state, _ in mails(workspace)] == [
        (ben.address, "una@home.example", "cancelled"),
        (clara.address, "una@home.example", "scheduled"),
        (clara.address, "ben@home.example", "scheduled"),
    ]
    assert len(rows(workspace)) == 2


def test_c10_field_10_a_notice_that_is_refused_is_told_once_to_the_admins_and_not_about_itself(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    fail(workspace, anna)
    notice_planning.plan(context, NOW)
    leave(workspace, "error", error_class="hard", error_text="550 5.1.1 no such user")
    for minute in range(1, 4):
        notice_planning.plan(context, NOW + minute * MINUTE)
    *_, (_, to, _, words) = mails(workspace)
    assert len(mails(workspace)) == 2
    assert to == "admin@example.org"
    assert "The notice to una@home.example about anna@example.org was refused." in words["text"]
    leave(workspace, "error", error_class="hard", error_text="550 5.1.1 no such admin")
    notice_planning.plan(context, NOW + 5 * MINUTE)
    notice_planning.plan(context, NOW + DAY)
    leave(workspace, "error", error_class="hard", error_text="550 5.1.1 no such user")
    notice_planning.plan(context, NOW + DAY + MINUTE)
    assert [nth for _, nth, _ in rows(workspace)] == ["0", "bounced", "1"]
    seen = overview.look(context, NOW + DAY).telling.refused
    assert [(one.address, one.addressee) for one in seen] == [
        (anna.address, "una@home.example"),
        (anna.address, "admin@example.org"),
    ]


def test_c10_field_13_two_runners_at_once_give_each_notice_once(
    context: Context, workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    fail(workspace, anna)
    threads = [threading.Thread(target=notice_planning.plan, args=(context, NOW)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mails(workspace)) == len(rows(workspace)) == 1


def test_h3_without_trouble_a_pass_writes_nothing(
    context: Context, workspace: Workspace, anna: Sender
) -> None:
    with workspace.store.writing():
        # It would wait for this transaction for ever.
        if workspace.store.is_sqlite:
            notice_planning.plan(context, NOW)
    assert rows(workspace) == []
