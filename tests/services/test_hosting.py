"""H1: the loop outlives whatever goes wrong in it, and says so."""

from datetime import timedelta

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
