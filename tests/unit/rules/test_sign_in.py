"""What a gate that waits for a mailbox or for an assignment says to type (C8, C15, E2, F5)."""

from dataclasses import replace

import pytest

from mailrotate.core.rules.decision import Verdict, verdicts
from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.situation import CampaignFacts, Lack, MailboxFacts, MessageFacts, Situation
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import ConnectionState, MessageState
from tests.unit.rules.test_gates import CAMPAIGN, MAILBOX, MESSAGE, NOW

FAILED = replace(MAILBOX, connection=ConnectionState.FAILED)
DISCONNECTED = replace(MAILBOX, connection=ConnectionState.DISCONNECTED)
WITHIN_HOUR = replace(DISCONNECTED, may_rejoin=True)
LEFT = replace(MESSAGE, sender_is_away=True)
RECONNECT = Command("mailbox", "reconnect", "a@example.org")
CONNECT = Command("mailbox", "connect", "a@example.org")
REJOIN = Command("mailbox", "connect", "a@example.org", "--rejoin", "--resume")
ADD = Command("campaign", "sender", "add", "spring", "a@example.org")


def said(
    gate: Gate,
    mailbox: MailboxFacts | None,
    message: MessageFacts | None = MESSAGE,
    campaign: CampaignFacts | None = CAMPAIGN,
) -> Verdict | None:
    found = [one for one in verdicts(Situation(campaign, mailbox, message), NOW) if one.gate is gate]
    return found[0] if found else None


def remedy(gate: Gate, mailbox: MailboxFacts | None, message: MessageFacts) -> object:
    verdict = said(gate, mailbox, message)
    assert verdict is not None
    assert not verdict.open
    return verdict.remedy


@pytest.mark.parametrize(
    ("mailbox", "command"), [(FAILED, RECONNECT), (DISCONNECTED, CONNECT), (WITHIN_HOUR, REJOIN)]
)
def test_c8_a_mailbox_that_is_away_comes_back_with_its_place_while_its_hour_runs(
    mailbox: MailboxFacts, command: Command
) -> None:
    assert remedy(Gate.CONNECTION, mailbox, MESSAGE) == command
    assert remedy(Gate.GRACE, mailbox, LEFT) == command
    assert remedy(Gate.MESSAGE, mailbox, replace(MESSAGE, state=MessageState.ERROR)) == command


def test_c8_a_mailbox_that_left_the_campaign_is_added_again_once_it_is_connected() -> None:
    verdict = said(Gate.GRACE, MAILBOX, LEFT)
    assert verdict is not None
    assert verdict.reason == (
        "its mailbox left the campaign when it was disconnected, and has not been added again"
    )
    assert verdict.remedy == ADD
    assert remedy(Gate.MESSAGE, MAILBOX, replace(LEFT, state=MessageState.ERROR)) == ADD


def test_c15_an_error_of_a_mailbox_that_is_there_is_retried() -> None:
    retry = Command("outbox", "retry", "m_17")
    failed = replace(MESSAGE, state=MessageState.ERROR)
    assert remedy(Gate.MESSAGE, MAILBOX, failed) == retry
    assert remedy(Gate.MESSAGE, None, failed) == retry
    verdict = said(Gate.MESSAGE, MAILBOX, replace(LEFT, state=MessageState.ERROR), campaign=None)
    assert verdict is not None
    assert verdict.remedy == retry, "mail by hand has no campaign to come back to"


def test_c8_the_gate_of_the_hour_needs_campaign_mailbox_and_message() -> None:
    assert said(Gate.GRACE, None, LEFT) is None
    assert said(Gate.GRACE, MAILBOX, LEFT, campaign=None) is None
    assert said(Gate.GRACE, MAILBOX, None) is None


def test_e2_a_recipient_without_a_mailbox_waits_for_the_command_that_gives_it_one() -> None:
    unlock = Command("user", "unlock", "una@example.org")
    waits = replace(MESSAGE, is_assigned=False)
    assert remedy(Gate.ASSIGNMENT, MAILBOX, waits) == Command("mailbox", "connect", "ADDRESS")
    verdict = said(Gate.ASSIGNMENT, MAILBOX, replace(waits, lack=Lack("its adder is locked", unlock)))
    assert verdict is not None
    assert (verdict.reason, verdict.remedy) == ("no mailbox is assigned yet: its adder is locked", unlock)
