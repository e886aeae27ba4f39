"""What a sender has in its hands, as the database knows it (F3)."""

from dataclasses import replace

import pytest

from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.store import tables as t
from mailrotate.core.store.sending import claims, outbox, sending_mailboxes
from mailrotate.core.store.sending.claims import InFlight
from mailrotate.core.store.sending.outbox import Claim
from tests.support.rows import NOW, Sender, Workspace


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


def claim(workspace: Workspace, box: Sender, runner_id: int, token: str) -> Claim:
    """A message of this mailbox, claimed by this runner."""
    message_id = workspace.add_message(box)
    with workspace.store.writing() as connection:
        assert claims.claim(
            connection,
            MESSAGE["claim"],
            message_id,
            claim_token=token,
            runner_id=runner_id,
            slot_id=box.slot_id,
            from_address=box.address,
            subject="Hello",
            in_reply_to=None,
            cited_ids=(),
            content_hash="00",
            now=NOW,
        )
        message = outbox.by_id(connection, message_id)
        assert message is not None
        return Claim(message, token, NOW, sending_mailboxes.by_id(connection, box.id), b"")


def test_f3_a_claim_holds_until_it_is_settled(workspace: Workspace, anna: Sender) -> None:
    claimed = claim(workspace, anna, workspace.add_runner(), "c1")
    with workspace.store.writing() as connection:
        assert claims.still_ours(connection, claimed)
        assert not claims.still_ours(connection, replace(claimed, claim_token="c2"))
        other = replace(claimed.message, id=claimed.message.id + 1)
        assert not claims.still_ours(connection, replace(claimed, message=other))
        assert claims.settle(connection, MESSAGE["settle_sent"], claimed.message.id, "c1", sent_at=NOW)
        assert not claims.still_ours(connection, claimed)


def test_f3_settling_one_message_leaves_the_others_in_flight(workspace: Workspace, anna: Sender) -> None:
    """Also one with the same claim token, which never happens: the id counts as well."""
    runner_id = workspace.add_runner()
    one, two = (claim(workspace, anna, runner_id, token) for token in ("c1", "c2"))
    with workspace.store.writing() as connection:
        assert not claims.settle(connection, MESSAGE["settle_sent"], one.message.id, "c2", sent_at=NOW)
        assert claims.settle(connection, MESSAGE["settle_sent"], one.message.id, "c1", sent_at=NOW)
        assert claims.in_flight_of(connection, runner_id) == [InFlight(two.message.id, "c2", False)]
        assert claims.in_flight_runners(connection) == [runner_id]
        assert claims.settle(connection, MESSAGE["settle_sent"], two.message.id, "c2", sent_at=NOW)
        assert claims.in_flight_runners(connection) == []


def test_f3_what_is_in_flight_in_a_lane_is_found_whoever_claimed_it(
    workspace: Workspace, anna: Sender
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    runners = [workspace.add_runner() for _ in range(2)]
    one, two = (claim(workspace, anna, runner_id, f"c{runner_id}") for runner_id in runners)
    elsewhere = claim(workspace, ben, runners[0], "c9")
    with workspace.store.writing() as connection:
        connection.execute(t.message.update().where(t.message.c.id == two.message.id).values(marked_at=NOW))
        assert sorted(claims.in_flight_in(connection, anna.id)) == [
            InFlight(one.message.id, one.claim_token, False),
            InFlight(two.message.id, two.claim_token, True),
        ]
        assert claims.in_flight_in(connection, ben.id) == [InFlight(elsewhere.message.id, "c9", False)]
        assert sorted(claims.in_flight_runners(connection)) == runners
