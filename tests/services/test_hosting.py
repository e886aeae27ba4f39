"""H1: the loop outlives whatever goes wrong in it, and says so."""

from collections import Counter
from datetime import timedelta

import pytest

from mailrotate.core.services.running import passes
from mailrotate.core.services.sending import webhook_endpoints
from mailrotate.core.store import events
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.values.clock import system_clock
from mailrotate.core.values.errors import Busy, StoreTrouble
from mailrotate.runner import Host
from tests.support.contexts import context_of
from tests.support.rows import Workspace
from tests.support.webhook_server import Receiver, receiving


def test_h1_a_log_that_cannot_be_shown_is_told_like_any_trouble(workspace: Workspace) -> None:
    told: list[Exception] = []
    shown: list[None] = []

    def show() -> None:
        shown.append(None)
        if len(shown) == 1:
            raise BrokenPipeError

    host = Host(context_of(workspace), system_clock, None, told.append)
    report = host.serve("here", timedelta(minutes=1), timedelta(milliseconds=500), show)
    assert [type(trouble) for trouble in told] == [BrokenPipeError]
    assert list(report.troubles) == told
    assert len(shown) == 2
    assert set(report.counts().values()) == {0}


def test_h1_a_lane_whose_work_ended_in_an_error_is_in_the_report_until_it_works_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = workspace.add_mailbox("anna@example.org")
    worked: list[int] = []

    def work(_context: object, _runner: int, mailbox_id: int, *_more: object) -> Counter[str]:
        worked.append(mailbox_id)
        if len(worked) == 1:
            raise ZeroDivisionError
        return Counter()

    monkeypatch.setattr(passes, "work_lane", work)
    monkeypatch.setattr(passes, "lanes_due", lambda *_given: [anna.id])
    host = Host(context_of(workspace), system_clock, None, lambda _trouble: None)
    assert host.once("here").broken == {anna.id}
    assert host.once("here").broken == set()


def test_h1_a_trouble_that_lasts_is_told_once_and_again_when_it_comes_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, locked = StoreTrouble("store.full", "the disk is full"), Busy("store.locked", "it is held")
    ends: list[Exception | None] = [full, full, full, None, full, locked, locked, None]
    told: list[Exception] = []
    host = Host(context_of(workspace), system_clock, None, told.append)

    def begin(_context: object, _now: object, _only: object) -> Counter[str]:
        trouble = ends.pop(0) if ends else None
        if not ends:
            host._stop.set()
        if trouble is not None:
            raise trouble
        return Counter()

    monkeypatch.setattr(passes, "begin", begin)
    host.serve("here", timedelta(milliseconds=20), timedelta(seconds=60), lambda: None)
    assert told == [full, full, locked]
    with workspace.store.reading() as connection:
        said = [line.data["reason"] for line in events.listing(connection, action="runner.recovered")]
    assert said == ["the disk is full", "it is held"], "and the log says when it goes on"


def test_c10_a_webhook_that_does_not_answer_delays_no_lane_and_no_other_webhook(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers only when the other one was told and a lane has worked, which became due after its post."""
    anna = workspace.add_mailbox("anna@example.org")
    worked: list[int] = []

    def work(_context: object, _runner: int, mailbox_id: int, *_more: object) -> Counter[str]:
        worked.append(mailbox_id)
        return Counter()

    monkeypatch.setattr(passes, "work_lane", work)
    monkeypatch.setattr(passes, "lanes_due", lambda *_given: [anna.id] if receiver.posted else [])
    context = context_of(workspace)
    with receiving() as other:

        def wait(_handler: object) -> None:
            while not (worked and other.posted):
                receiver.ending.wait(0.02)
            receiver.ending.set()

        receiver.will(wait)
        for url in (receiver.url, other.url):
            webhook_endpoints.add(context, url, ["all"], system_clock())
        with workspace.store.writing() as connection:
            events.record(connection, RUNNER, "mailbox.failed", system_clock(), About(anna.id))
        host = Host(context, system_clock, None, lambda _trouble: None)
        host.serve("here", timedelta(milliseconds=200), timedelta(seconds=2), lambda: None)
        assert receiver.ending.is_set()
