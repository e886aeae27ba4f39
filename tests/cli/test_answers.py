"""What a person finds after a pass in which a server gave the answers that real ones give (F4).

Each row of answers is a kind that was met in the wild: its wording, and whom it concerns.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailrotate.core.values.states import Security
from tests.acceptance.autumn import MONDAY, start_campaign
from tests.support.console import Console
from tests.support.dovecot import Dovecot
from tests.support.scripted_smtp import Move, ScriptedSmtp, answers, answers_and_closes

ANNA, PASSWORD = "anna@answers.example.org", "of-the-answers"
KIM, LEE, MIA, NOA = "kim@example.com", "lee@example.net", "mia@example.edu", "noa@example.info"
CONNECTED_AT = MONDAY - timedelta(minutes=10)

LIMITS = {
    "max emails per hour": "550 Domain example.org has exceeded the max emails per hour (100/100 (100%)) "
    "allowed. Message discarded.",
    "rate overlimit": "550 Email account anna is sending too many emails - rate overlimit = 83.6 / 1h",
    "too many, later": "550 Too many messages sent, try later",
    "ratelimit of the user": '451 4.7.1 Ratelimit "user" exceeded',
    "messages per hour": "450 4.7.1 <anna@answers.example.org>: messages per hour exceeded",
    "throttling": "454 Throttling failure: Maximum sending rate exceeded.",
    "connection frequency": "550 Connection frequency limited",
    "ip frequency": "550 Ip frequency limited",
    "too many recipients": "550 5.1.1 <kim@example.com> - 203.0.113.222 has sent to too many recipients "
    "this hour",
    "own: daily quota": "550 5.4.5 Daily user sending quota exceeded.",
    "own: German": "550 Sie haben die maximale Anzahl an E-Mails pro Stunde erreicht",
    "own: Spanish": "550-Ha superado el limite de envio\r\n550 diario de mensajes",
}
SENDERS = {
    "invalid HELO name": "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)",
    "invalid HELO string": "550 Invalid HELO string",
    "suspended": "550 Your account has been suspended",
    "check mail first": "550 You must check for new mail before sending mail",
    "unusual activity": "550 5.4.6 Unusual sending activity detected. Please try after sometime",
    "own: not owned": "553 5.7.1 <anna@answers.example.org>: Sender address rejected: not owned by user anna",
    "own: blocked by a list": "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using a list",
    "own: no permission": "550 5.1.8 Access denied, bad outbound sender",
}
LOGINS = {
    "auth required": "550 smtp auth required",
    "turn on authentication": "550-Please turn on SMTP Authentication in your mail client.\r\n"
    "550 is not permitted to relay through this server",
    "own: authentication needed": "530 5.7.0 Authentication required",
    "own: log in first": "550 5.7.1 You must log in before you send mail",
    "own: authenticate": "503 You must authenticate first",
}
SOFT = {
    "mailbox full behind a status": "550-'5.2.2 <kim@example.com>... Mailbox Full'\r\n"
    "550 5.1.1 <kim@example.com>: recipient rejected",
    "over quota": "522 5.2.0 Over quota",
    "disabled recipient": "525 5.7.13 Disabled recipient address",
    "disabled or discontinued": "550 Requested action not taken: this account has been disabled or "
    "discontinued",
    "temporarily locked": "550 5.7.1 <kim@example.com>: mailbox temporary locked",
    "own: code alone": "550 no",
    "own: number and link alone": "550 see https://mail.example.org/help?c=user-unknown",
    "own: French quota": "552 La boite du destinataire est pleine",
}
HARD = {
    "rejected: user unknown": "550 5.7.1 <kim@example.com>: Recipient address rejected: User unknown",
    "no account": "554 delivery error: dd This user doesn't have a example.com account (kim@example.com)",
    "own: German": "550 Empfaenger unbekannt",
    "own: several lines": "550-5.1.1 The email account that you tried to reach\r\n"
    "550-5.1.1 does not exist. Please check it for typos. Learn more at\r\n"
    "550 5.1.1 https://support.example.com/answer/6596 q9-20",
    "own: status at the end": "550 Sorry, no mailbox here by that name. (#5.1.1)",
}
LATER = {
    "transaction failed": "554 Transaction failed",
    "service unavailable": "554 Service currently unavailable",
    "too many hops": "554 5.4.6 Too many hops",
    "message expired": "550 5.4.312 Message expired",
    "own: loop": "554 5.4.14 Hop count exceeded - possible mail loop",
    "own: no connection": "550 5.4.316 Message expired, connection refused",
    "own: try again": "550 System error, please try again later",
}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedSmtp]:
    with ScriptedSmtp(security=Security.NONE) as server:
        yield server


@pytest.fixture(scope="module")
def campaign(server: ScriptedSmtp, dovecot: Dovecot, tmp_path_factory: pytest.TempPathFactory) -> Console:
    """A started campaign of one mailbox with four people at four domains; only ever copied."""
    program = Console(tmp_path_factory.mktemp("answers"))
    there = program.at(CONNECTED_AT)
    dovecot.add_user(ANNA, PASSWORD)
    where = ("--smtp", f"localhost:{server.port}", "--imap", f"localhost:{dovecot.imap_port}")
    there.run(
        *("mailbox", "connect", ANNA, "--gap", "0s", "--password-stdin", *where, "--security", "none"),
        input=PASSWORD,
    )
    start_campaign(there, [KIM, LEE, MIA, NOA], ANNA)
    return program


@pytest.fixture
def program(campaign: Console, server: ScriptedSmtp, tmp_path: Path) -> Console:
    server.follow({})
    return campaign.moved(tmp_path)


def run(program: Console, server: ScriptedSmtp, script: dict[str, Any], minutes: int = 0) -> int:
    """Run one pass against the server; return how many it has sent."""
    server.follow(script)
    there = program.at(MONDAY + timedelta(minutes=minutes))
    return int(there.run("run", "--once", "--json", check_status=None).json()["sent"])


def told(program: Console, *command: str, minutes: int = 0) -> Any:
    return program.at(MONDAY + timedelta(minutes=minutes)).run(*command, "--json").json()


def states(program: Console) -> dict[str, str]:
    return {person["email"]: person["state"] for person in told(program, "recipient", "list", "autumn")}


def of_kim(program: Console) -> Any:
    return next(one for one in told(program, "outbox", "list") if one["to"] == KIM)


def assert_nobody_was_harmed(program: Console) -> None:
    assert told(program, "suppression", "list") == []
    assert set(states(program).values()) <= {"queued", "active"}


@pytest.mark.parametrize("kind", LIMITS)
def test_f4_a_limit_said_at_a_recipient_makes_the_mailbox_wait_and_harms_nobody(
    program: Console, server: ScriptedSmtp, kind: str
) -> None:
    assert run(program, server, {"rcpt": answers(LIMITS[kind])}) == 0
    assert_nobody_was_harmed(program)
    (box,) = told(program, "mailbox", "list")
    assert box["state"] == "connected"
    assert box["hold_reason"].startswith("rcpt: ")
    assert (of_kim(program)["state"], of_kim(program)["attempts"]) == ("scheduled", 0)
    assert run(program, server, {}, minutes=26 * 60) == 4, "the limit ends by itself"


@pytest.mark.parametrize("kind", SENDERS)
def test_f4_a_refusal_of_the_sender_said_at_a_recipient_holds_the_mailbox_for_a_person(
    program: Console, server: ScriptedSmtp, kind: str
) -> None:
    assert run(program, server, {"rcpt": answers(SENDERS[kind])}) == 0
    assert_nobody_was_harmed(program)
    assert run(program, server, {}, minutes=26 * 60) == 0
    gate = told(program, "why", ANNA, minutes=26 * 60)
    assert f"mailrotate mailbox release {ANNA}" in str(gate)
    program.at(MONDAY + timedelta(hours=26)).run("mailbox", "release", ANNA)
    assert run(program, server, {}, minutes=26 * 60) == 4


@pytest.mark.parametrize("kind", LOGINS)
def test_f4_a_login_asked_for_at_a_recipient_is_the_mailboxs_trouble(
    program: Console, server: ScriptedSmtp, kind: str
) -> None:
    assert run(program, server, {"rcpt": answers(LOGINS[kind])}) == 0
    assert_nobody_was_harmed(program)
    (box,) = told(program, "mailbox", "list")
    assert box["state"] == "failed" or box["hold_reason"]


@pytest.mark.parametrize("kind", SOFT)
def test_d6_f4_full_disabled_and_locked_mailboxes_and_bare_codes_suppress_nobody(
    program: Console, server: ScriptedSmtp, kind: str
) -> None:
    assert run(program, server, {"rcpt": [answers(SOFT[kind])]}) == 3, "the others are sent to"
    assert_nobody_was_harmed(program)
    message = of_kim(program)
    assert (message["state"], message["error"]["class"]) == ("scheduled", "soft")


@pytest.mark.parametrize("kind", HARD)
def test_d6_f4_words_that_nobody_is_there_end_that_recipient_and_no_mailbox(
    program: Console, server: ScriptedSmtp, kind: str
) -> None:
    assert run(program, server, {"rcpt": [answers(HARD[kind])]}) == 3, "the others are sent to"
    assert states(program)[KIM] == "bounced"
    assert [row["value"] for row in told(program, "suppression", "list")] == [KIM]
    (box,) = told(program, "mailbox", "list")
    assert (box["state"], box["hold_reason"]) == ("connected", None)


@pytest.mark.parametrize("phase", ["rcpt", "dot"])
@pytest.mark.parametrize("kind", LATER)
def test_f4_trouble_of_the_transport_suppresses_nobody(
    program: Console, server: ScriptedSmtp, kind: str, phase: str
) -> None:
    assert run(program, server, {phase: [answers(LATER[kind])]}) == 3
    assert_nobody_was_harmed(program)
    assert of_kim(program)["error"]["class"] in ("retry", "message")


@pytest.mark.parametrize(
    "said",
    [
        "535 5.7.8 Error: authentication failed: Connection lost to authentication server",
        "535 5.7.0 Temporary authentication failure",
        "454 4.7.0 Temporary authentication failure: generic failure",
        "535 Authentication service unavailable, try again later",
    ],
)
def test_c1_f4_a_login_server_that_is_away_is_asked_again_later(
    program: Console, server: ScriptedSmtp, said: str
) -> None:
    assert run(program, server, {"auth": answers(said), "login": answers(said)}) == 0
    assert_nobody_was_harmed(program)
    assert told(program, "mailbox", "list")[0]["state"] == "connected"
    assert told(program, "campaign", "list")[0]["state"] == "active"
    assert run(program, server, {}, minutes=120) == 4


@pytest.mark.parametrize("code", ["535 5.7.8 no", "504 5.5.4 no such mechanism", "502 no", "553 no"])
def test_b1_login_is_tried_where_plain_is_refused(program: Console, server: ScriptedSmtp, code: str) -> None:
    assert run(program, server, {"auth": answers(code), "login": answers("235 2.7.0 welcome")}) == 4


def test_c1_a_password_that_both_ways_refuse_fails_the_mailbox_once(
    program: Console, server: ScriptedSmtp
) -> None:
    no = answers("535 5.7.8 Username and password not accepted")
    assert run(program, server, {"auth": no, "login": no}) == 0
    assert told(program, "mailbox", "list")[0]["state"] == "failed"
    assert [line["action"] for line in told(program, "log")].count("mailbox.failed") == 1


@pytest.mark.parametrize("after", [1, 2, 3])
def test_f4_a_421_at_mail_on_a_reused_connection_costs_no_try(
    program: Console, server: ScriptedSmtp, after: int
) -> None:
    usual = [Move()] * after
    closing = answers_and_closes("421 4.4.2 too many messages on this connection")
    taken = len(server.taken)
    assert run(program, server, {"mail": [*usual, closing]}) == 4
    assert len(server.taken) == taken + 4, "F3: each of them once"
    attempts = {message["attempts"] for message in told(program, "outbox", "list") if message["step"] == 1}
    assert attempts == {1}


@pytest.mark.parametrize("second", ["250 2.1.0 taken again", "250 2.1.5 ok", "550 5.1.1 no such user"])
def test_f3_a_second_answer_to_mail_is_taken_for_no_other_commands(
    program: Console, server: ScriptedSmtp, second: str
) -> None:
    twice = answers(f"250 2.1.0 sender taken\r\n{second}")
    taken = len(server.taken)
    assert run(program, server, {"mail": twice}) == 0
    assert len(server.taken) == taken
    assert_nobody_was_harmed(program)
    assert run(program, server, {}, minutes=60) == 4


def test_f4_three_unknown_people_in_a_row_hold_the_mailbox_and_the_person_can_undo_it(
    program: Console, server: ScriptedSmtp
) -> None:
    taken = len(server.taken)
    assert run(program, server, {"rcpt": answers("550 5.1.1 user unknown")}) == 0
    assert states(program) == {KIM: "bounced", LEE: "bounced", MIA: "bounced", NOA: "queued"}

    there = program.at(MONDAY)
    undoing = f"mailrotate mailbox release {ANNA} --undo-refusals"
    for command in (("why", ANNA), ("status",)):
        said = there.run(*command).stdout
        assert "3 recipients in a row were refused as unknown" in said
        assert undoing in said
    assert "3 recipients in a row" in told(program, "mailbox", "list")[0]["hold_reason"]
    assert run(program, server, {}, minutes=48 * 60) == 0, "no time ends it"

    undone = told(program, "mailbox", "release", ANNA, "--undo-refusals", minutes=48 * 60)
    assert (undone["changed"], undone["refusals"]) == (True, 3)
    assert (undone["reopened"], undone["unsuppressed"]) == (3, 3)
    assert told(program, "suppression", "list") == []
    assert run(program, server, {}, minutes=48 * 60) == 4
    assert len(server.taken) == taken + 4, "F3: each of them once"
    again = told(program, "mailbox", "release", ANNA, "--undo-refusals", minutes=48 * 60)
    assert (again["changed"], again["refusals"]) == (False, 0)


def test_f4_a_release_without_undoing_leaves_the_three_bounced(
    program: Console, server: ScriptedSmtp
) -> None:
    run(program, server, {"rcpt": answers("550 5.1.1 user unknown")})
    program.at(MONDAY).run("mailbox", "release", ANNA)
    assert run(program, server, {}) == 1
    assert states(program)[KIM] == "bounced"
