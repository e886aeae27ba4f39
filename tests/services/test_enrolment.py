"""How people come into a campaign, on both databases."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import insert, select

from mailrotate.adapters.csv_rows import open_rows
from mailrotate.adapters.problem_spool import ProblemSpool
from mailrotate.cli.hints import in_words
from mailrotate.core.rules.transitions import RECIPIENT
from mailrotate.core.services.access import accounts
from mailrotate.core.services.campaigns import (
    campaign_life,
    drafting,
    enrolment,
    recipient_list,
    row_checks,
)
from mailrotate.core.services.campaigns.enrolment import HowToImport, Imported
from mailrotate.core.services.campaigns.row_checks import RowTrouble
from mailrotate.core.services.contacts import suppressing
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import slot_pool
from mailrotate.core.services.sending import health
from mailrotate.core.store import campaigns as stored
from mailrotate.core.store import mailboxes, moves, senders
from mailrotate.core.store import tables as t
from mailrotate.core.store.people import recipients
from mailrotate.core.store.people.suppressions import fingerprint
from mailrotate.core.values.errors import BadInput, Busy, NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import RecipientState
from tests.support.contexts import context_of
from tests.support.plans import TWO_STEPS, plan_of
from tests.support.rows import NOW, Sender, Workspace

HEADER = "email,first_name,company\n"


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


@pytest.fixture
def draft(context: Context, anna: Sender) -> str:
    """A draft that needs the field `company`."""
    return drafting.create(context, replace(plan_of(), from_addresses=(anna.address,)), NOW).name


@contextmanager
def importing(
    context: Context, name: str, text: str, **how: bool
) -> Iterator[tuple[Imported, list[RowTrouble]]]:
    with (
        ProblemSpool() as aside,
        open_rows(io.BytesIO(text.encode())) as rows,
        enrolment.importing_file(
            context, name, rows, HowToImport(**how), aside, progress=lambda _count: None, now=NOW
        ) as imported,
    ):
        yield imported, list(imported.problems)


def import_text(
    context: Context, name: str, text: str, **how: bool
) -> tuple[tuple[int, int, int, int], list[RowTrouble]]:
    with importing(context, name, text, **how) as (imported, problems):
        return (imported.imported, imported.duplicate, imported.suppressed, imported.invalid), problems


def emails(context: Context, name: str) -> list[str]:
    with recipient_list.listing(context, name, recipient_list.Wanted()) as found:
        return [entry.email for entry in found]


def rows_of(count: int, start: int = 0) -> str:
    return HEADER + "".join(f"p{n}@example.com,P{n},C{n}\n" for n in range(start, start + count))


def test_d8_good_rows_go_in_and_each_bad_one_is_named_by_its_line(context: Context, draft: str) -> None:
    suppressing.add(context, "gone@example.com", "asked", NOW)
    suppressing.add(context, "never.example", "asked", NOW)
    import_text(context, draft, rows_of(1))
    text = (
        HEADER + "Kim@Example.com,Kim,Acme\n"
        "p0@example.com,P0,C0\n"
        "not an address,X,C\n"
        '"quoted@example.com","two\nlines","A ""B"" C"\n'
        "kim@example.com,Again,Acme\n"
        "gone@example.com,G,C\n"
        "all@never.example,N,C\n"
        "hole@example.com,H, \n"
        "short@example.com,S\n"
    )
    counts, problems = import_text(context, draft, text)
    assert counts == (2, 2, 2, 3)
    assert [(problem.line, problem.email) for problem in problems] == [
        (3, "p0@example.com"),
        (4, "not an address"),
        (7, "kim@example.com"),
        (8, "gone@example.com"),
        (9, "all@never.example"),
        (10, "hole@example.com"),
        (11, "short@example.com"),
    ]
    assert problems[0].problem == "is in the campaign already"
    assert problems[2].problem == "an earlier line has the same address"
    assert problems[5].problem == "has no company, which the text needs"
    assert emails(context, draft) == ["p0@example.com", "kim@example.com", "quoted@example.com"]
    kept = recipient_list.show(context, draft, "quoted@example.com")
    assert kept.fields == {"first_name": "two\nlines", "company": 'A "B" C'}


def test_d1_a_column_that_the_text_needs_and_the_file_lacks_refuses_every_row(
    context: Context, draft: str
) -> None:
    counts, problems = import_text(context, draft, "email;first_name\nkim@example.com;Kim\n")
    assert counts == (0, 0, 0, 1)
    assert problems == [RowTrouble(2, "kim@example.com", "has no company, which the text needs")]
    demands = enrolment.demands_of(context, draft)
    assert enrolment.columns_lacking(demands, ("email", "first_name")) == ["company"]


def test_d8_strict_takes_nobody_when_one_row_is_bad(context: Context, draft: str) -> None:
    counts, _ = import_text(context, draft, rows_of(2) + "bad,B,C\n", strict=True)
    assert counts == (0, 0, 0, 1)
    assert emails(context, draft) == []
    counts, _ = import_text(context, draft, rows_of(2) + "p0@example.com,B,C\n", strict=True)
    assert counts == (0, 1, 0, 0)
    assert emails(context, draft) == []
    counts, _ = import_text(context, draft, rows_of(2), strict=True)
    assert counts == (2, 0, 0, 0)


def test_d8_a_rehearsal_says_what_would_be_and_changes_nothing(context: Context, draft: str) -> None:
    counts, _ = import_text(context, draft, rows_of(2) + "bad,B,C\n", rehearse=True)
    assert counts == (2, 0, 0, 1)
    assert emails(context, draft) == []


def test_d3_whoever_has_ended_in_the_campaign_never_starts_again(context: Context, draft: str) -> None:
    import_text(context, draft, rows_of(2))
    campaign_life.start(context, draft, (), None, NOW)
    with context.store.writing() as connection:
        campaign = stored.find(connection, draft)
        assert campaign is not None
        person = recipients.find(connection, campaign.id, "p0@example.com")
        assert person is not None
        moves.move(connection, RECIPIENT["replied"], person.id, reason="reply")
    counts, _ = import_text(context, draft, rows_of(2))
    assert counts == (0, 2, 0, 0)
    assert recipient_list.show(context, draft, "p0@example.com").state is RecipientState.REPLIED
    with pytest.raises(Refused, match="is in the campaign already"), ProblemSpool() as aside:
        enrolment.add(context, draft, "p0@example.com", {"company": "C"}, aside=aside, now=NOW)


def test_c9_who_was_stopped_in_a_campaign_does_not_come_back(context: Context, draft: str) -> None:
    with context.store.writing() as connection:
        campaign = stored.find(connection, draft)
        assert campaign is not None
        connection.execute(
            insert(t.stopped).values(
                campaign_id=campaign.id, address_hash=fingerprint("p0@example.com"), stopped_at=NOW
            )
        )
    counts, problems = import_text(context, draft, rows_of(2))
    assert counts == (1, 1, 0, 0)
    assert problems == [RowTrouble(2, "p0@example.com", "was stopped in this campaign, for good")]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=some.lists(some.integers(1, 7), min_size=1, max_size=5), start_at=some.integers(0, 4))
def test_e1_able_senders_never_differ_by_more_than_one_whatever_the_imports(
    workspace: Workspace, context: Context, sizes: list[int], start_at: int
) -> None:
    """Imports of any sizes, before and after the start, in any order."""
    with context.store.reading() as connection:
        number = len(stored.listing(connection))
    boxes = [f"box{n}@example.org" for n in range(3)]
    if number == 0:
        for address in boxes:
            workspace.add_mailbox(address)
    plan = replace(plan_of(), name=f"c{number}", from_addresses=tuple(boxes))
    name = drafting.create(context, plan, NOW).name
    import_text(context, name, rows_of(1, start=1000))
    done = 0
    for index, size in enumerate([*sizes, 1]):
        if index == min(start_at, len(sizes)):
            campaign_life.start(context, name, (), None, NOW)
        import_text(context, name, rows_of(size, start=done))
        done += size
        if index >= min(start_at, len(sizes)):
            with context.store.reading() as connection:
                campaign = stored.find(connection, name)
                assert campaign is not None
                counts = recipients.counts_by_sender(connection, campaign.id)
                spread = [counts.get(s.id, 0) for s in senders.senders_of(connection, campaign.id)]
            assert sum(spread) == done + 1
            assert max(spread) - min(spread) <= 1


def test_e1_people_of_a_running_campaign_have_a_sender_at_once_or_wait_for_an_able_one(
    workspace: Workspace, context: Context, draft: str, anna: Sender
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    import_text(context, draft, rows_of(1))
    campaign_life.start(context, draft, [anna.address, ben.address], None, NOW)
    import_text(context, draft, rows_of(3, start=1))
    with recipient_list.listing(context, draft, recipient_list.Wanted()) as found:
        entries = list(found)
    assert [entry.sender for entry in entries] == [anna.address, ben.address, anna.address, ben.address]
    assert {(entry.assigned_reason, entry.next_at) for entry in entries} == {("equal", NOW)}
    with context.store.writing() as connection:
        connection.execute(t.connection.update().values(state="failed"))
    import_text(context, draft, rows_of(1, start=10))
    waiting = recipient_list.show(context, draft, "p10@example.com")
    assert (waiting.state, waiting.sender, waiting.next_at) == (RecipientState.QUEUED, None, None)
    with context.store.writing() as connection:
        health.recover(connection, mailboxes.by_id(connection, ben.id), NOW)
    taken_up = recipient_list.show(context, draft, "p10@example.com")
    assert (taken_up.sender, taken_up.next_at) == (ben.address, NOW)


def test_people_of_a_single_sender_campaign_keep_coming_while_its_mailbox_is_away(
    context: Context, draft: str, anna: Sender
) -> None:
    import_text(context, draft, rows_of(1))
    campaign_life.start(context, draft, (), None, NOW)
    with context.store.writing() as connection:
        connection.execute(t.connection.update().values(state="failed"))
    import_text(context, draft, rows_of(1, start=1))
    entry = recipient_list.show(context, draft, "p1@example.com")
    assert (entry.sender, entry.assigned_reason) == (anna.address, "single_sender")


def test_a_recipients_own_zone_is_checked_where_the_campaign_uses_it(context: Context, anna: Sender) -> None:
    text = TWO_STEPS.replace('name = "autumn"', 'name = "autumn"\ntimezone = "recipient"')
    name = drafting.create(context, replace(plan_of(text), from_addresses=(anna.address,)), NOW).name
    counts, problems = import_text(
        context,
        name,
        "email,company,timezone\na@example.com,A,Asia/Tokyo\nb@example.com,B,Mars/Olympus\nc@example.com,C,\n",
    )
    assert counts == (1, 0, 0, 2)
    assert [problem.problem for problem in problems] == [
        "there is no time zone 'Mars/Olympus'",
        "has no timezone",
    ]
    assert recipient_list.show(context, name, "a@example.com").timezone == "Asia/Tokyo"


def test_people_come_from_another_campaign_with_their_fields(context: Context, draft: str) -> None:
    import_text(context, draft, rows_of(2))
    suppressing.add(context, "p1@example.com", "asked", NOW)
    other = drafting.copy(context, draft, "winter", NOW).name
    with ProblemSpool() as aside:
        importing = enrolment.importing_people(context, other, draft, HowToImport(), aside, NOW)
        with importing as imported:
            assert (imported.imported, imported.suppressed) == (1, 1)
    assert recipient_list.show(context, other, "p0@example.com").fields == {
        "first_name": "P0",
        "company": "C0",
    }


def test_one_person_is_added_by_hand_or_refused_with_the_reason(context: Context, draft: str) -> None:
    suppressing.add(context, "gone@example.com", "asked", NOW)
    with ProblemSpool() as aside:
        assert (
            enrolment.add(context, draft, "Kim@Example.com", {"company": "A"}, aside=aside, now=NOW)
            == "kim@example.com"
        )
    with pytest.raises(BadInput, match="has no company"), ProblemSpool() as aside:
        enrolment.add(context, draft, "lee@example.com", {}, aside=aside, now=NOW)
    with pytest.raises(Refused, match="is suppressed"), ProblemSpool() as aside:
        enrolment.add(context, draft, "gone@example.com", {"company": "A"}, aside=aside, now=NOW)
    assert emails(context, draft) == ["kim@example.com"]


def test_a_finished_campaign_takes_nobody(context: Context, draft: str) -> None:
    import_text(context, draft, rows_of(1))
    campaign_life.start(context, draft, (), None, NOW)
    campaign_life.stop(context, draft, NOW)
    with pytest.raises(Refused, match="cannot take new recipients"):
        import_text(context, draft, rows_of(1, start=5))


def test_an_import_that_an_edit_overtakes_takes_nobody(context: Context, draft: str) -> None:
    """The rows were checked against what the text needed before."""
    with ExitStack() as stack:
        aside = stack.enter_context(ProblemSpool())
        rows = stack.enter_context(open_rows(io.BytesIO(rows_of(2).encode())))
        records = _EditedMeanwhile(rows, lambda: drafting.edit(context, draft, plan_of(), NOW))
        importing = enrolment.importing_file(
            context, draft, records, HowToImport(), aside, progress=lambda _count: None, now=NOW
        )
        with pytest.raises(Busy, match="was edited during the import"):
            stack.enter_context(importing)
    assert emails(context, draft) == []


class _EditedMeanwhile:
    """A file whose reading takes so long that somebody edits the campaign."""

    def __init__(self, rows: row_checks.Records, edit: object) -> None:
        self.columns, self.email_index = rows.columns, rows.email_index
        self._rows, self._edit = rows, edit

    def __iter__(self) -> Iterator[tuple[int, list[str]] | row_checks.Unreadable]:
        yield from self._rows
        self._edit()  # type: ignore[operator]  # a callable that nobody reads the result of


def test_who_was_never_written_to_is_taken_out_and_others_are_ended(
    workspace: Workspace, context: Context, draft: str, anna: Sender
) -> None:
    import_text(context, draft, rows_of(2))
    campaign_life.start(context, draft, (), None, NOW)
    with context.store.reading() as connection:
        campaign = stored.find(connection, draft)
        assert campaign is not None
        contacted = recipients.find(connection, campaign.id, "p0@example.com")
    assert contacted is not None
    message = workspace.add_message(anna, campaign, contacted.id, ready_at=NOW + timedelta(hours=1))
    assert recipient_list.remove(context, draft, "p0@example.com", NOW).was_contacted
    assert not recipient_list.remove(context, draft, "p1@example.com", NOW).was_contacted
    entry = recipient_list.show(context, draft, f"r_{contacted.id}")
    assert (entry.state, entry.reason) == (RecipientState.FINISHED, "removed")
    with context.store.reading() as connection:
        state = connection.execute(select(t.message.c.state).where(t.message.c.id == message)).scalar_one()
    assert state == "cancelled"
    assert emails(context, draft) == ["p0@example.com"]
    counts, _ = import_text(context, draft, rows_of(2))
    assert counts == (1, 1, 0, 0)


def test_hints_about_a_campaign_with_a_blank_in_its_name_can_be_typed(
    context: Context, workspace: Workspace, anna: Sender
) -> None:
    def hint(campaign: str, address: str, **fields: str) -> str:
        with pytest.raises((BadInput, Refused)) as refused, ProblemSpool() as aside:
            enrolment.add(context, campaign, address, fields, aside=aside, now=NOW)
        return in_words(refused.value.hint or "")

    autumn = workspace.add_campaign("autumn intro", [anna])
    workspace.add_recipient(autumn, "kim@example.com")
    workspace.add_campaign("winter intro", [anna], state="finished")
    assert hint("autumn intro", "kim@example.com", name="Kim") == (
        "mailrotate recipient show 'autumn intro' kim@example.com"
    )
    assert hint("autumn intro", "lee@example.com") == (
        "mailrotate recipient add 'autumn intro' lee@example.com --field NAME=VALUE"
    )
    assert hint("winter intro", "kim@example.com", name="Kim") == "mailrotate campaign copy 'winter intro'"


def test_whichever_command_names_nobody_the_hint_is_where_the_users_are(context: Context, draft: str) -> None:
    def import_for_nobody() -> object:
        with ProblemSpool() as aside:
            how = HowToImport(owner="nobody@example.org")
            with enrolment.importing_people(context, draft, draft, how, aside, NOW) as imported:
                return imported

    for act in (
        import_for_nobody,
        lambda: slot_pool.add(context, "nobody@example.org", 1, NOW),
        lambda: accounts.acting_user(context.store, "nobody@example.org"),
    ):
        with pytest.raises(NotFound) as unknown:
            act()
        assert (unknown.value.code, unknown.value.hint) == ("user.none", Command("user", "list"))
