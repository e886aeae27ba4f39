"""F3: the mark before each final dot, in both places, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mailrotate.core.services.sending import marking
from mailrotate.core.store.sending import send_mark
from mailrotate.core.values.errors import Refused
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace


def test_f3_a_pass_is_begun_in_both_places_and_a_later_mark_raises_both(workspace: Workspace) -> None:
    context = context_of(workspace)
    marking.begin_pass(context)
    marking.open_pass(context)
    with workspace.store.writing() as connection:
        number = send_mark.count(connection)
    context.mark.note(number)
    with workspace.store.reading() as connection:
        known = send_mark.read(connection)
    outside = context.mark.read()
    assert outside is not None
    assert (known.number, outside.number) == (1, 1)
    assert known.pass_id is None or outside.passes == (known.pass_id,)
    marking.begin_pass(context)


@pytest.mark.timeout(60)
def test_f3_passes_begin_while_lanes_mark(workspace: Workspace) -> None:
    """Each begin makes the next lane open its pass, while others have the turn to write."""
    context = context_of(workspace)
    marking.open_pass(context)

    def lane() -> None:
        for _ in range(40):
            marking.open_pass(context)
            context.store.send(lambda block: block.mark(context.mark.note))

    with ThreadPoolExecutor(4) as pool:
        lanes = [pool.submit(lane) for _ in range(4)]
        while not all(each.done() for each in lanes):
            marking.begin_pass(context)
        for each in lanes:
            each.result()
    with workspace.store.reading() as connection:
        known = send_mark.read(connection)
    outside = context.mark.read()
    assert outside is not None
    assert (known.number, outside.number) == (160, 160)
    marking.begin_pass(context)


def test_f3_a_database_behind_its_mark_begins_no_pass(workspace: Workspace) -> None:
    context = context_of(workspace)
    marking.open_pass(context)
    context.mark.note(5)
    for begin in (marking.begin_pass, marking.open_pass):
        context.mark.pass_is_open = False
        with pytest.raises(Refused) as refused:
            begin(context)
        assert refused.value.code == "workspace.behind"


def test_f3_a_held_workspace_begins_no_pass(workspace: Workspace) -> None:
    context = context_of(workspace)
    with workspace.store.writing() as connection:
        send_mark.hold(connection, NOW)
    for begin in (marking.begin_pass, marking.open_pass):
        with pytest.raises(Refused) as refused:
            begin(context)
        assert refused.value.code == "workspace.restored"
