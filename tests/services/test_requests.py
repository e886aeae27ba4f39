"""Requested mailboxes, on both databases (A7)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import mailbox_requests, plan_changes
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.services.views import overview
from mailrotate.core.store import events
from mailrotate.core.store import requests as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.events import Actor
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import RequestState, Role
from tests.support.addresses import connect
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace

BEN, CLEO = "ben@example.org", "cleo@example.org"
WANTED = "ben@example.net"
LATER = NOW + timedelta(days=1)


@pytest.fixture
def admin(workspace: Workspace) -> Context:
    found = context_of(workspace)
    plan_changes.change(found, PlanChange(approval_required=True), NOW)
    return found


@pytest.fixture
def ben_user(workspace: Workspace) -> StoredUser:
    return workspace.add_user(BEN)


@pytest.fixture
def ben(admin: Context, ben_user: StoredUser) -> Context:
    return replace(admin, actor=Actor(ben_user.id, "tester"))


@pytest.fixture
def cleo(workspace: Workspace, admin: Context) -> Context:
    return replace(admin, actor=Actor(workspace.add_user(CLEO, Role.MANAGER).id, "tester"))


def code(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


def test_a7_a_member_requests_an_admin_approves_and_only_then_it_is_connected(
    admin: Context, ben: Context
) -> None:
    with pytest.raises(Refused) as early:
        connect(admin, WANTED, BEN)
    assert (early.value.code, early.value.hint) == (
        "request.needed",
        Command("mailbox", "request", WANTED, "--for", BEN),
    )
    requested = mailbox_requests.request(ben, WANTED, None, NOW)
    assert requested.is_needed
    found = requested.request
    assert (found.user, found.requested_by, found.state) == (BEN, BEN, RequestState.REQUESTED)
    assert [(check["check"], check["passed"]) for check in found.checks] == [
        (check, True) for check in ("valid", "role_address", "another_user", "free", "shows_user", "slot")
    ]
    with pytest.raises(Refused) as undecided:
        connect(admin, WANTED, BEN)
    assert (undecided.value.code, undecided.value.hint) == (
        "request.undecided",
        Command("mailbox", "approve", f"q_{found.id}"),
    )
    approved = mailbox_requests.approve(admin, f"q_{found.id}", "welcome", LATER)
    assert (approved.state, approved.reason, approved.decided_by) == (
        RequestState.APPROVED,
        "welcome",
        "admin@example.org",
    )
    assert connect(admin, WANTED, BEN).user == BEN


def test_a7_members_and_managers_decide_nothing_and_request_for_themselves(
    admin: Context, ben: Context, cleo: Context
) -> None:
    found = mailbox_requests.request(ben, WANTED, None, NOW).request
    for acting in (ben, cleo):
        for decide in (mailbox_requests.approve, mailbox_requests.deny):
            with pytest.raises(Refused) as refused:
                decide(acting, f"q_{found.id}", None, NOW)
            assert code(refused) == "user.not_allowed"
    with pytest.raises(Refused) as refused:
        mailbox_requests.request(cleo, "b.blum@example.net", BEN, NOW)
    assert code(refused) == "user.not_allowed"
    own = mailbox_requests.request(admin, "ada@example.net", None, NOW).request
    assert mailbox_requests.approve(admin, "ada@example.net", None, NOW).id == own.id
    assert [len(mailbox_requests.listing(acting, only_open=False)) for acting in (admin, cleo, ben)] == [
        2,
        2,
        1,
    ]
    assert [found.address for found in mailbox_requests.listing(admin)] == [WANTED]
    assert [overview.look(acting, NOW).requests for acting in (admin, cleo)] == [1, 0]


def test_a7_what_only_the_approver_can_judge_is_flagged(
    workspace: Workspace, admin: Context, ben: Context, ben_user: StoredUser
) -> None:
    for number in range(2):
        workspace.add_mailbox(f"ben{number}@example.org", ben_user)
    checks = mailbox_requests.request(ben, "zoe@example.net", None, NOW).request.checks
    flagged = {check["check"]: check["message"] for check in checks if not check["passed"]}
    assert set(flagged) == {"shows_user", "slot"}
    assert "does not look like an address of" in str(flagged["shows_user"])
    assert mailbox_requests.approve(admin, "zoe@example.net", None, NOW).state is RequestState.APPROVED


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("info@example.org", "address.role"),
        (CLEO, "address.another_user"),
        ("zoe@example.org", "mailbox.elsewhere"),
    ],
)
def test_a7_a8_a9_what_can_only_be_refused_is_refused_at_once(
    workspace: Workspace, admin: Context, ben: Context, cleo: Context, address: str, expected: str
) -> None:
    workspace.add_mailbox("zoe@example.org")
    with pytest.raises(Refused) as refused:
        mailbox_requests.request(ben, address, None, NOW)
    assert code(refused) == expected
    assert mailbox_requests.listing(admin, only_open=False) == []


def test_a7_the_checks_run_again_at_the_approval(workspace: Workspace, admin: Context, ben: Context) -> None:
    plan_changes.change(admin, PlanChange(role_addresses=True), NOW)
    role = mailbox_requests.request(ben, "info@example.net", None, NOW).request
    held = mailbox_requests.request(ben, "b.en@gmail.com", None, NOW).request
    plan_changes.change(admin, PlanChange(role_addresses=False), NOW)
    workspace.add_mailbox("ben@gmail.com")
    for found, expected in ((role, "address.role"), (held, "mailbox.elsewhere")):
        with pytest.raises(Refused) as refused:
            mailbox_requests.approve(admin, f"q_{found.id}", None, NOW)
        assert code(refused) == expected
    assert all(found.is_open for found in mailbox_requests.listing(admin))
    denied = mailbox_requests.deny(admin, f"q_{held.id}", "it is Ada's", NOW)
    assert [check["passed"] for check in denied.checks if check["check"] == "free"] == [False]
    assert denied.checks_at_request == held.checks == held.checks_at_request, "both runs stay visible"
    assert [check["passed"] for check in held.checks if check["check"] == "free"] == [True]


def test_a7_of_a_request_that_was_decided_when_one_run_alone_was_kept_the_first_is_unknown(
    workspace: Workspace, admin: Context, ben: Context
) -> None:
    waiting = mailbox_requests.request(ben, WANTED, None, NOW).request
    decided = mailbox_requests.deny(
        admin, f"q_{mailbox_requests.request(ben, 'b@example.net', None, NOW).request.id}", None, NOW
    )
    with workspace.store.writing() as connection:
        connection.execute(update(t.mailbox_request).values(checks=json.dumps(waiting.checks)))
    assert mailbox_requests.listing(admin, only_open=False) == [
        replace(waiting, checks_at_request=waiting.checks),
        replace(decided, checks=waiting.checks, checks_at_request=None),
    ]


def test_a7_requests_are_shown_page_by_page(admin: Context, ben: Context) -> None:
    asked = [mailbox_requests.request(ben, f"b{n}@example.net", None, NOW).request.id for n in range(5)]
    pages = []
    after: int | None = None
    while page := mailbox_requests.listing(admin, after=after, limit=2):
        pages.append([found.id for found in page])
        after = pages[-1][-1]
    assert pages == [asked[:2], asked[2:4], asked[4:]]


def test_a7_requesting_and_deciding_twice_is_refused(admin: Context, ben: Context, cleo: Context) -> None:
    found = mailbox_requests.request(ben, "b.en@gmail.com", None, NOW).request
    for acting in (ben, cleo):
        with pytest.raises(Refused) as twice:
            mailbox_requests.request(acting, "ben@gmail.com", None, NOW)
        assert code(twice) == "request.exists"
        assert f"q_{found.id}" in twice.value.message
    mailbox_requests.deny(admin, f"q_{found.id}", None, NOW)
    for decide in (mailbox_requests.approve, mailbox_requests.deny):
        with pytest.raises(Refused) as decided:
            decide(admin, f"q_{found.id}", None, LATER)
        assert code(decided) == "request.decided"
        assert "denied by admin@example.org" in decided.value.message
    again = mailbox_requests.request(ben, "ben@gmail.com", None, LATER).request
    mailbox_requests.approve(admin, f"q_{again.id}", None, LATER)
    with pytest.raises(Refused) as exists:
        mailbox_requests.request(ben, "ben@gmail.com", None, LATER)
    assert exists.value.hint == Command("mailbox", "connect", "ben@gmail.com", "--for", BEN)


def test_a7_a_request_can_be_withdrawn_by_its_user_alone(admin: Context, ben: Context, cleo: Context) -> None:
    found = mailbox_requests.request(ben, WANTED, None, NOW).request
    with pytest.raises(Refused) as others:
        mailbox_requests.withdraw(cleo, f"q_{found.id}", NOW)
    assert code(others) == "user.not_allowed"
    assert mailbox_requests.withdraw(ben, f"q_{found.id}", LATER).ended_at == LATER
    for again in (
        lambda: mailbox_requests.withdraw(ben, f"q_{found.id}", LATER),
        lambda: mailbox_requests.approve(admin, f"q_{found.id}", None, LATER),
    ):
        with pytest.raises(Refused) as over:
            again()
        assert code(over) == "request.ended"
    # An approval that is withdrawn makes room for another seat's.
    mine = mailbox_requests.request(ben, WANTED, None, LATER).request
    mailbox_requests.approve(admin, f"q_{mine.id}", None, LATER)
    mailbox_requests.withdraw(admin, f"q_{mine.id}", LATER)
    assert mailbox_requests.request(cleo, WANTED, None, LATER).request.user == CLEO


def test_a7_an_approval_is_one_users_and_lasts_until_the_address_leaves_the_seat(
    workspace: Workspace, admin: Context, ben: Context
) -> None:
    found = mailbox_requests.request(ben, WANTED, None, NOW).request
    mailbox_requests.approve(admin, f"q_{found.id}", None, NOW)
    with pytest.raises(Refused) as other:
        connect(admin, WANTED)
    assert code(other) == "request.other_seat"
    box = connect(admin, WANTED, BEN)
    for acting, expected in ((ben, "request.on_seat"), (admin, "mailbox.elsewhere")):
        with pytest.raises(Refused) as twice:
            mailbox_requests.request(acting, WANTED, None, NOW)
        assert code(twice) == expected
    with pytest.raises(Refused) as used:
        mailbox_requests.withdraw(ben, f"q_{found.id}", NOW)
    assert code(used) == "request.on_seat"
    with workspace.store.writing() as connection:
        stored.end_of_mailbox(connection, box.mailbox_id, LATER)
        assert stored.current(connection, WANTED) is None


def test_a7_every_step_is_in_the_log_by_ids_alone(workspace: Workspace, admin: Context, ben: Context) -> None:
    first = mailbox_requests.request(ben, WANTED, None, NOW).request
    mailbox_requests.deny(admin, f"q_{first.id}", "no", NOW)
    mailbox_requests.withdraw(ben, f"q_{mailbox_requests.request(ben, WANTED, None, NOW).request.id}", NOW)
    with workspace.store.reading() as connection:
        told = [e for e in events.listing(connection) if e.action.startswith(("mailbox.", "request."))]
    assert [event.action for event in told] == [
        "mailbox.requested",
        "mailbox.denied",
        "mailbox.requested",
        "request.withdrawn",
    ]
    assert told[1].data == {
        "request": first.id,
        "user": first.user_id,
        "before": "requested",
        "after": "denied",
    }
    assert not any("@" in str(event.data) for event in told)


def test_a7_without_approval_a_request_says_that_it_is_not_needed(workspace: Workspace) -> None:
    assert not mailbox_requests.request(context_of(workspace), "ada@example.net", None, NOW).is_needed


def test_a7_what_makes_no_sense_is_refused(admin: Context) -> None:
    with pytest.raises(BadInput):
        mailbox_requests.request(admin, "nobody", None, NOW)
    for name in ("q_17", "17x", "nobody@example.org"):
        with pytest.raises(NotFound) as none:
            mailbox_requests.approve(admin, name, None, NOW)
        assert none.value.code == "request.none"
    with pytest.raises(BadInput):
        mailbox_requests.deny(admin, "q_17", "two\nlines", NOW)
