"""What claims go by is kept only while a claim would read the same anew."""

import re
import sqlite3
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text, update

import mailrotate
from mailrotate.core.rules.decision import Verdict
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import lane_facts, settling
from mailrotate.core.services.sending.claiming import Claims, LaneLost, Nothing
from mailrotate.core.services.sending.lane_facts import LaneFacts
from mailrotate.core.store import campaigns
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.engine import Store
from mailrotate.core.store.sending import claims as stored_claims
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import Phase, Priority
from tests.services.test_authority import ADA, BEN, BOX, VERBS, Team, code_of
from tests.services.test_authority import team as team  # noqa: PLC0414  a fixture
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace, make_workspace

ACCEPTED = ServerReply(Phase.DOT, 250, "2.0.0", "250 2.0.0 Ok")
SECOND = timedelta(seconds=1)
_SENDING = Path(mailrotate.__file__).parent / "core" / "services"


class Sending:
    """The lane of a mailbox with messages that are due; the first is claimed."""

    def __init__(self, workspace: Workspace, context: Context, box: Sender) -> None:
        self.workspace, self.context, self.box, self.store = workspace, context, box, workspace.store
        self.lane = workspace.own_lane(box, workspace.add_runner())
        self.claims = Claims(context, self.lane)
        self.claim()

    def claim(self, now: datetime = NOW) -> Claim:
        found = self.claims.next(now)
        assert isinstance(found, Claim)
        return found

    def kept_and_fresh(self, now: datetime = NOW) -> tuple[LaneFacts | None, LaneFacts]:
        """What the next claim would go by, and what stands in the database."""
        with self.store.sending() as block:
            return (
                self.claims.kept.find(block.version, now),
                lane_facts.gather(self.context, block, self.box.id, now),
            )

    def send(self, claimed: Claim, now: datetime = NOW) -> Claim | Nothing:
        """Mark and settle a message, and claim the next one with it, as a turn does."""
        with self.store.sending() as block:
            assert stored_claims.mark(block.connection, claimed, self.lane, now)
        with self.store.sending() as block:
            settling.settle_sent(block, claimed, claimed.box, ACCEPTED, now, self.claims.kept)
            return self.claims.follow_in(block, now) or self.claims.next_in(block, now)


def closed(found: Claim | Nothing) -> Verdict:
    """The closed gate of a lane of which no message may go."""
    assert isinstance(found, Nothing)
    assert found.closed is not None
    return found.closed


@pytest.fixture
def workspace(sqlite_store: Store) -> Workspace:
    """On SQLite alone: on PostgreSQL no facts are kept."""
    return make_workspace(sqlite_store)


def fill(workspace: Workspace, campaign: StoredCampaign, box: Sender, count: int = 10) -> None:
    sender_id = workspace.senders(campaign)[0]
    for n in range(count):
        address = f"more{n}@example.com"
        person = workspace.add_recipient(campaign, address, sender_id=sender_id)
        workspace.add_message(box, campaign, person, to=address, campaign_sender_id=sender_id)


@pytest.fixture
def sending(workspace: Workspace) -> Sending:
    box = workspace.add_mailbox("anna@example.org")
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(gap_seconds=0))
    fill(workspace, workspace.add_campaign("autumn", [box]), box)
    return Sending(workspace, context_of(workspace), box)


@pytest.mark.parametrize("verb", VERBS)
def test_c11_after_any_service_a_claim_decides_on_what_is_stored(team: Team, verb: str) -> None:
    box = team.boxes[BOX]
    with team.workspace.store.reading() as connection:
        autumn = campaigns.by_id(connection, 1)
    fill(team.workspace, autumn, box)
    sending = Sending(team.workspace, team.acting(BEN), box)
    for email in (BEN, ADA):
        # However far a verb gets here, and whatever is missing to it.
        with suppress(Exception):
            code_of(VERBS[verb], team.acting(email))
        kept, fresh = sending.kept_and_fresh()
        assert kept is None or kept == fresh, email
        with suppress(LaneLost):
            sending.claims.next(NOW)


def test_f1_facts_are_kept_over_messages_that_are_sent_and_count_them(sending: Sending) -> None:
    claimed: Claim | Nothing = sending.claim()
    for sent in range(2, 9):
        kept, fresh = sending.kept_and_fresh()
        assert kept == fresh
        assert fresh.mailbox.sent_today == sent
        assert isinstance(claimed, Claim)
        claimed = sending.send(claimed)


@pytest.mark.parametrize(
    "write",
    [
        "UPDATE mailbox SET paused_at = '2026-03-02 09:00:00.000000'",
        "UPDATE campaign SET state = 'paused'",
        "UPDATE connection SET gap_seconds = 60",
        "UPDATE lane SET asked_at = '2026-03-02 09:00:00.000000'",
        "INSERT INTO setting (key, value) VALUES ('lateness', '1m')",
    ],
)
@pytest.mark.parametrize("where", ["this process", "another process"])
def test_c11_what_anybody_writes_ends_the_facts(sending: Sending, write: str, where: str) -> None:
    if where == "this process":
        with sending.store.writing() as connection:
            connection.execute(text(write))
    else:
        assert sending.store.path is not None
        other = sqlite3.connect(sending.store.path)
        other.execute(write)
        other.commit()
        other.close()
    assert sending.kept_and_fresh()[0] is None


def test_c11_facts_end_with_the_minute_because_days_and_windows_begin_with_one(sending: Sending) -> None:
    start = NOW.replace(second=0, microsecond=0)
    sending.claim(start + 20 * SECOND)
    assert sending.kept_and_fresh(start + 59 * SECOND)[0] is not None
    assert sending.kept_and_fresh(start + 60 * SECOND)[0] is None
    assert sending.kept_and_fresh(NOW - SECOND)[0] is None, "the clock went back"


def test_c11_facts_end_with_the_next_deadline(sending: Sending) -> None:
    with sending.store.writing() as connection:
        values = {"mailbox_id": sending.box.id, "campaign_id": 1, "kind": "failure"}
        instants = {"started_at": NOW, "ends_at": NOW + 5 * SECOND}
        connection.execute(insert(t.deadline).values(**values, **instants))
    sending.claim()
    assert sending.kept_and_fresh(NOW + 4 * SECOND)[0] is not None
    assert sending.kept_and_fresh(NOW + 5 * SECOND)[0] is None


def test_e4_a_message_that_becomes_ready_meanwhile_goes_before_the_others(sending: Sending) -> None:
    """That nothing of a priority was ready is known only until the first of it is."""
    notice = sending.workspace.add_notice(sending.box, ready_at=NOW + 5 * SECOND)
    assert sending.claim().message.priority is Priority.FIRST
    found = sending.send(sending.claim(NOW + 4 * SECOND), NOW + 4 * SECOND)
    assert isinstance(found, Claim)
    assert found.message.priority is Priority.FIRST
    found = sending.send(found, NOW + 5 * SECOND)
    assert isinstance(found, Claim)
    assert found.message.id == notice


def test_b4_the_daily_limit_counts_what_was_claimed_since_the_facts_were_read(sending: Sending) -> None:
    with sending.store.writing() as connection:
        connection.execute(update(t.connection).values(daily_limit=4))
    found: Claim | Nothing = sending.claim()
    for _ in range(2):
        assert isinstance(found, Claim)
        found = sending.send(found)
    assert isinstance(found, Claim)
    assert closed(sending.send(found)).reason == "4 of 4 sent today"


def test_b4_a_providers_rolling_limit_is_counted_at_each_claim(sending: Sending) -> None:
    with sending.store.writing() as connection:
        connection.execute(update(t.connection).values(provider="google"))
        connection.execute(insert(t.setting).values(key="limit.google.day", value="3"))
    found = sending.send(sending.claim())
    assert isinstance(found, Claim)
    assert closed(sending.send(found)).gate == "provider_limit"


def test_b3_with_a_gap_the_lane_rests_after_each_message(sending: Sending) -> None:
    with sending.store.writing() as connection:
        connection.execute(update(t.connection).values(gap_seconds=60))
    assert closed(sending.send(sending.claim())).gate == "gap"


def test_f3_a_lost_lane_is_noticed_although_the_facts_hold(sending: Sending) -> None:
    sending.claims.lane = replace(sending.lane, token=sending.lane.token - 1)
    with pytest.raises(LaneLost):
        sending.claims.next(NOW)


def test_c11_only_claim_mark_and_settle_write_without_ending_the_facts() -> None:
    """Every other service opens `writing`, which does."""
    opens = re.compile(r"store\.(send|sending)\(")
    found = {path.name for path in _SENDING.rglob("*.py") if opens.search(path.read_text())}
    assert found == {"claiming.py", "turn.py"}
