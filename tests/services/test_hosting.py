"""H1: the loop outlives whatever goes wrong in it, and says so."""

from collections import Counter
from datetime import timedelta

import pytest

from mailrotate.core.services.running import passes
from mailrotate.core.values.clock import system_clock
from mailrotate.runner import Host
from tests.support.contexts import context_of
from tests.support.rows import Workspace


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
