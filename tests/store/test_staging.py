"""D8: many recipients at once, on both databases."""

import json
import resource
from collections.abc import Iterable
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailrotate.core.rules.rotation import Seat, spread
from mailrotate.core.rules.transitions import RECIPIENT
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.dialects import orphans
from mailrotate.core.store.engine import Store
from mailrotate.core.store.people import recipients, suppressions
from mailrotate.core.store.people.staging import Enrolment, RowProblem, StagedRow, Staging
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.errors import Busy, StoreTrouble
from mailrotate.core.values.spread import EVERYONE, Assignment
from mailrotate.core.values.states import SuppressionKind
from tests.support.rows import NOW, Workspace, contact_of


@pytest.fixture
def campaign(workspace: Workspace) -> StoredCampaign:
    boxes = [workspace.add_mailbox("anna@example.org"), workspace.add_mailbox("ben@example.org")]
    return workspace.add_campaign(mailboxes=boxes)


def rows(*addresses: str) -> list[StagedRow]:
    """Lines of a file below its header."""
    return [
        (line, address, canonical_address(address), json.dumps({"n": str(line)}), "")
        for line, address in enumerate(addresses, 2)
    ]


def import_rows(
    store: Store, campaign: StoredCampaign, staged: Iterable[StagedRow], **how: object
) -> tuple[int, dict[RowProblem | None, int], list[tuple[int, str, RowProblem]]]:
    with Staging(store, campaign.id) as staging:
        staging.add_many(staged)
        counts = staging.examine()
        with staging.writing() as (connection, _):
            enrolment = Enrolment(RECIPIENT["enrol"], campaign.id, None, None, NOW, **how)  # type: ignore[arg-type]  # by name
            imported = staging.merge(connection, enrolment)
        return imported, counts, list(staging.problems())


def people(store: Store, campaign: StoredCampaign) -> list[recipients.StoredRecipient]:
    with store.reading() as connection:
        return list(recipients.listing(connection, campaign.id))


def suppress(store: Store, kind: SuppressionKind, value: str) -> None:
    with store.writing() as connection:
        suppressions.add(
            connection, kind, value, reason="unsubscribed", source="test", added_by=None, now=NOW
        )


def test_d8_rows_become_recipients_in_the_order_of_the_file(store: Store, campaign: StoredCampaign) -> None:
    addresses = ("zoe@example.com", "abe@example.com", "moe@example.com")
    imported, counts, problems = import_rows(store, campaign, rows(*addresses))
    assert (imported, counts, problems) == (3, {None: 3}, [])
    enrolled = people(store, campaign)
    assert [person.email for person in enrolled] == list(addresses)
    assert [person.fields for person in enrolled] == [{"n": "2"}, {"n": "3"}, {"n": "4"}]
    assert {person.state for person in enrolled} == {"queued"}
    with store.reading() as connection:
        assert set(connection.execute(select(t.contact.c.domain)).scalars()) == {"example.com"}


def test_d8_the_first_of_two_equal_lines_wins_and_the_others_are_named(
    store: Store, campaign: StoredCampaign
) -> None:
    staged = rows("kim@example.com", "lee@example.com", "kim@example.com", "kim@example.com")
    imported, _, problems = import_rows(store, campaign, staged)
    assert imported == 2
    assert problems == [
        (4, "kim@example.com", RowProblem.TWICE),
        (5, "kim@example.com", RowProblem.TWICE),
    ]
    assert people(store, campaign)[0].fields == {"n": "2"}


@pytest.mark.parametrize("state", ["queued", "finished", "failed"])
def test_d3_whoever_is_or_was_in_the_campaign_is_reported_and_not_restarted(
    store: Store, workspace: Workspace, campaign: StoredCampaign, state: str
) -> None:
    workspace.add_recipient(campaign, "kim@example.com", state=state)
    imported, _, problems = import_rows(store, campaign, rows("lee@example.com", "kim@example.com"))
    assert (imported, problems) == (1, [(3, "kim@example.com", RowProblem.PRESENT)])
    assert [person.state for person in people(store, campaign)] == [state, "queued"]


def test_d8_suppressed_addresses_and_domains_are_reported(store: Store, campaign: StoredCampaign) -> None:
    suppress(store, SuppressionKind.ADDRESS, "kim@example.com")
    suppress(store, SuppressionKind.DOMAIN, "example.net")
    imported, _, problems = import_rows(
        store,
        campaign,
        rows(
            "kim@example.com",
            "lee@example.net",
            "moe@sub.example.net",
            "pia@anexample.net",
            "q@net.example",
        ),
    )
    assert imported == 2
    assert problems == [
        (2, "kim@example.com", RowProblem.SUPPRESSED),
        (3, "lee@example.net", RowProblem.SUPPRESSED),
        (4, "moe@sub.example.net", RowProblem.SUPPRESSED),
    ]


def test_i4_spellings_of_one_mailbox_are_one_person_in_an_import(
    store: Store, workspace: Workspace, campaign: StoredCampaign
) -> None:
    suppress(store, SuppressionKind.ADDRESS, "le.e@googlemail.com")
    workspace.add_recipient(campaign, "kim.k@gmail.com")
    staged = rows(
        "lee+x@gmail.com", "kimk@googlemail.com", "pia@gmail.com", "p.i.a@gmail.com", "p.ia@example.com"
    )
    imported, _, problems = import_rows(store, campaign, staged)
    assert (imported, problems) == (
        2,
        [
            (2, "lee+x@gmail.com", RowProblem.SUPPRESSED),
            (3, "kimk@googlemail.com", RowProblem.PRESENT),
            (5, "p.i.a@gmail.com", RowProblem.TWICE),
        ],
    )


def test_i4_a_person_who_is_a_contact_in_another_spelling_stays_one_contact(
    store: Store, workspace: Workspace, campaign: StoredCampaign
) -> None:
    workspace.add_recipient(workspace.add_campaign("winter"), "kim.k@gmail.com")
    assert import_rows(store, campaign, rows("kimk@gmail.com"))[0] == 1
    assert [person.email for person in people(store, campaign)] == ["kim.k@gmail.com"]


def test_i4_of_two_contacts_that_are_one_mailbox_the_spelling_in_the_file_is_taken_and_only_once(
    store: Store, campaign: StoredCampaign
) -> None:
    """They were contacts before spellings were compared."""
    with store.writing() as connection:
        for address in ("kim.k@gmail.com", "k.imk@gmail.com"):
            contact_of(connection, address)
    assert import_rows(store, campaign, rows("k.imk@gmail.com", "kim.k@gmail.com"))[0] == 1
    assert [person.email for person in people(store, campaign)] == ["k.imk@gmail.com"]
    assert import_rows(store, campaign, rows("kim.k@gmail.com"))[2] == [
        (2, "kim.k@gmail.com", RowProblem.PRESENT)
    ]


def test_i4_an_erased_suppression_still_counts_by_its_hash(store: Store, campaign: StoredCampaign) -> None:
    suppress(store, SuppressionKind.ADDRESS, "kim@example.com")
    with store.writing() as connection:
        connection.execute(update(t.suppression).values(value=None, canonical=None))
    imported, counts, _ = import_rows(store, campaign, rows("kim@example.com"))
    assert (imported, counts) == (0, {RowProblem.SUPPRESSED: 1})


def test_c9_whoever_was_stopped_does_not_come_back_by_an_import(
    store: Store, workspace: Workspace, campaign: StoredCampaign
) -> None:
    other = workspace.add_campaign("winter")
    with store.writing() as connection:
        connection.execute(
            insert(t.stopped).values(
                campaign_id=campaign.id,
                address_hash=suppressions.fingerprint("kim@example.com"),
                stopped_at=NOW,
            )
        )
    staged = rows("kim@example.com")
    assert import_rows(store, campaign, staged)[2] == [(2, "kim@example.com", RowProblem.STOPPED)]
    assert import_rows(store, other, staged)[0] == 1


def test_d1_the_rows_fields_lie_over_the_contacts(store: Store, campaign: StoredCampaign) -> None:
    with store.writing() as connection:
        connection.execute(
            insert(t.contact).values(
                address="kim@example.com",
                canonical="kim@example.com",
                domain="example.com",
                fields=json.dumps({"n": "old", "company": "Üñí"}),
                created_at=NOW,
            )
        )
    import_rows(store, campaign, rows("kim@example.com"))
    assert people(store, campaign)[0].fields == {"n": "2", "company": "Üñí"}
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(t.contact)).scalar_one() == 1


def test_e1_an_import_into_a_running_campaign_is_spread_evenly(
    store: Store, workspace: Workspace, campaign: StoredCampaign
) -> None:
    senders = workspace.senders(campaign)
    seats = [Seat(sender, place, 1 - place, True) for place, sender in enumerate(senders)]
    found = spread(seats, 10)
    assert found is not None
    staged = rows(*(f"p{n}@example.com" for n in range(10)))
    how = Assignment({EVERYONE: found}, "equal", {EVERYONE: None})
    import_rows(store, campaign, staged, assignment=how, next_at=NOW)
    given = [person.campaign_sender_id for person in people(store, campaign)]
    assert given == [found.sender_of(rank) for rank in range(10)]
    with store.reading() as connection:
        assert recipients.counts_by_sender(connection, campaign.id) == found.counts()
    assert {person.next_at for person in people(store, campaign)} == {NOW}


def test_d8_what_others_did_between_looking_and_writing_is_seen(
    store: Store, workspace: Workspace, campaign: StoredCampaign
) -> None:
    with Staging(store, campaign.id) as staging:
        staging.add_many(rows("kim@example.com", "lee@example.com", "moe@example.com"))
        assert staging.examine() == {None: 3}
        workspace.add_recipient(campaign, "kim@example.com")
        suppress(store, SuppressionKind.ADDRESS, "lee@example.com")
        with staging.writing() as (connection, counts):
            assert counts == {None: 1, RowProblem.PRESENT: 1, RowProblem.SUPPRESSED: 1}
            assert staging.merge(connection, Enrolment(RECIPIENT["enrol"], campaign.id, None, None, NOW)) == 1
        assert [problem for _, _, problem in staging.problems()] == ["present", "suppressed"]


def test_e1_senders_take_turns_also_after_somebody_came_in_meanwhile(
    store: Store, workspace: Workspace, campaign: StoredCampaign
) -> None:
    senders = workspace.senders(campaign)
    seats = [Seat(sender, place, 0, True) for place, sender in enumerate(senders)]
    with Staging(store, campaign.id) as staging:
        staging.add_many(rows(*(f"p{n}@example.com" for n in range(5))))
        staging.examine()
        workspace.add_recipient(campaign, "p1@example.com")
        with staging.writing() as (connection, counts):
            found = spread(seats, counts[None])
            assert found is not None
            how = Assignment({EVERYONE: found}, "equal", {EVERYONE: None})
            new = Enrolment(RECIPIENT["enrol"], campaign.id, None, None, NOW, how, NOW)
            staging.merge(connection, new)
    given = [person.campaign_sender_id for person in people(store, campaign)][1:]
    assert given == [found.sender_of(rank) for rank in range(4)]


def test_d8_a_contact_that_is_erased_meanwhile_stops_the_whole_import(
    store: Store, campaign: StoredCampaign
) -> None:
    with store.writing() as connection:
        contact_of(connection, "kim@example.com")
    with Staging(store, campaign.id) as staging:
        staging.add_many(rows("kim@example.com", "lee@example.com"))
        staging.examine()
        with store.writing() as connection:
            connection.execute(
                update(t.contact).values(address=None, canonical=None, domain=None, erased_at=NOW)
            )
        with pytest.raises(Busy, match="was erased meanwhile"), staging.writing() as (connection, _):
            staging.merge(connection, Enrolment(RECIPIENT["enrol"], campaign.id, None, None, NOW))
    assert people(store, campaign) == []


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_after_an_import_foreign_keys_and_states_are_checked_as_before(
    store: Store, campaign: StoredCampaign
) -> None:
    """The import's own session checks neither, and is not used again."""
    import_rows(store, campaign, rows("kim@example.com"))
    for values in ({"campaign_id": 999}, {"state": "no such state"}):
        with pytest.raises(IntegrityError), store.writing() as connection:
            connection.execute(update(t.recipient).values(**values))
    with store.reading() as connection:
        assert orphans(connection) == []


def test_d8_a_failed_import_leaves_nothing(store: Store, campaign: StoredCampaign) -> None:
    def fail_after_merging() -> None:
        with Staging(store, campaign.id) as staging:
            staging.add_many(rows("kim@example.com"))
            staging.examine()
            with staging.writing() as (connection, _):
                staging.merge(connection, Enrolment(RECIPIENT["enrol"], campaign.id, None, None, NOW))
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_merging()
    assert people(store, campaign) == []
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(t.contact)).scalar_one() == 0


def test_others_write_while_rows_are_staged_and_examined(store: Store, campaign: StoredCampaign) -> None:
    def lines() -> Iterable[StagedRow]:
        for line in range(1000):
            if line % 100 == 0:
                with store.writing() as connection:
                    connection.execute(insert(t.setting).values(key=f"k{line}", value="v"))
            yield line, f"p{line}@example.com", f"p{line}@example.com", "{}", ""

    with Staging(store, campaign.id) as staging:
        staging.add_many(lines())
        with store.writing() as connection:
            connection.execute(insert(t.setting).values(key="later", value="v"))
        assert staging.examine() == {None: 1000}


def test_a_full_disk_is_said_while_staging_too(sqlite_store: Store) -> None:
    many = ((line, f"p{line}@example.com", "p", "x" * 500, "") for line in range(20_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Staging(sqlite_store, 1) as staging:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            with pytest.raises(StoreTrouble, match=r"disk|written"):
                staging.add_many(many)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_file_is_left_beside_the_database(sqlite_store: Store) -> None:
    """Not even while it runs, so that a killed import leaves none either."""
    assert sqlite_store.path is not None
    with Staging(sqlite_store, 1) as staging:
        staging.add_many(rows("kim@example.com"))
        staging.examine()
        names = {path.name for path in sqlite_store.path.parent.iterdir()}
    assert {name for name in names if "staging" in name} == set()


def test_two_imports_at_once_do_not_see_each_other(
    store: Store, workspace: Workspace, campaign: StoredCampaign
) -> None:
    other = workspace.add_campaign("winter")
    with Staging(store, campaign.id) as one, Staging(store, other.id) as two:
        one.add_many(rows("kim@example.com", "lee@example.com"))
        two.add_many(rows("kim@example.com"))
        assert (one.examine(), two.examine()) == ({None: 2}, {None: 1})
        for staging, place in ((one, campaign), (two, other)):
            with staging.writing() as (connection, _):
                staging.merge(
                    connection,
                    Enrolment(RECIPIENT["enrol"], place.id, None, None, NOW + timedelta(seconds=1)),
                )
    assert (len(people(store, campaign)), len(people(store, other))) == (2, 1)
