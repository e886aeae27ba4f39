"""What IMAP servers do, by command line: nothing is lost, nobody is harmed (cases of the wire, IMAP)."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.acceptance.autumn import MONDAY
from tests.support.kept_imap import USUAL, Asked
from tests.wire.conftest import ANNA, FRIDAY, PASSWORD, PEOPLE, THURSDAY, Wire

PIA, QUIN, ROB = PEOPLE
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOON = MONDAY + 3 * HOUR


def says(answer: str) -> Callable[[Asked], str]:
    return lambda _asked: answer


def only_for(uid: int, answer: str) -> Callable[[Asked], str]:
    """An oddity of one message alone, whatever it is asked for with."""
    return lambda asked: answer if uid in asked.uids else USUAL


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        ("EXAMINE", "NO Server Unavailable. 15"),
        ("EXAMINE", "NO [TEMPFAIL] SELECT failed"),
        ("UID SEARCH", "NO System Error (Failure)"),
        ("UID SEARCH", "BAD The specified message set is invalid"),
        ("UID FETCH", "NO Server Busy"),
        ("LOGIN", "NO Server Unavailable. 15"),
        # Variations of ours.
        ("LOGIN", "BAD User is authenticated but not connected."),
        ("EXAMINE", "NO [CONTACTADMIN] the mailbox is being moved"),
        ("UID FETCH", "BAD [SERVERBUG] internal"),
        ("EXAMINE", "NO"),
    ],
)
def test_c2_h5_a_passing_refusal_makes_the_inbox_unreadable_for_now(
    wire: Wire, verb: str, answer: str
) -> None:
    wire.imap.add(wire.reply(PIA))
    wire.imap.odd[verb] = says(answer)
    assert wire.pass_at(THURSDAY, check_status=None)[1] == [], "H5: a reply may be there"
    shown = wire.shown(THURSDAY)
    assert (shown["state"], shown["failed_at"]) == ("connected", None)
    assert wire.run(THURSDAY, "campaign", "show", "autumn", "--json").json()["state"] == "active"
    wire.imap.odd.clear()
    report, sent = wire.pass_at(THURSDAY + HOUR)
    assert (report["replies"], sorted(sent)) == (1, [QUIN, ROB]), "read again, then sent"


@pytest.mark.parametrize(
    "answer",
    [
        "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        "NO [EXPIRED] Password expired",
        "NO LOGIN failed.",
        "NO incorrect password or user name",
    ],
)
def test_c2_a_login_refused_in_words_about_credentials_fails_the_mailbox(wire: Wire, answer: str) -> None:
    wire.imap.odd["LOGIN"] = says(answer)
    wire.pass_at(THURSDAY, check_status=None)
    assert wire.shown(THURSDAY)["state"] == "failed"


def in_two_lines(asked: Asked) -> str:
    return f"* SEARCH {asked.uids[0]}\r\n* SEARCH {' '.join(map(str, asked.uids[1:]))}\r\nOK done"


def behind_an_empty_line(asked: Asked) -> str:
    return f"* SEARCH\r\n* SEARCH {' '.join(map(str, asked.uids))}\r\nOK done"


def one_a_line(asked: Asked) -> str:
    return "".join(f"* SEARCH {uid}\r\n" for uid in asked.uids[::-1]) + "OK done"


def the_first_alone(asked: Asked) -> str:
    return f"* SEARCH {asked.uids[0]}\r\nOK done"


def the_last_alone(asked: Asked) -> str:
    return f"* SEARCH {asked.uids[-1]}\r\nOK done"


def nothing_at_all(_asked: Asked) -> str:
    return "* SEARCH\r\nOK done"


def with_a_modseq(asked: Asked) -> str:
    return f"* SEARCH {' '.join(map(str, asked.uids))} (MODSEQ 2)\r\nOK done"


@pytest.mark.parametrize(
    "searched",
    [
        in_two_lines,
        behind_an_empty_line,
        the_first_alone,
        # Variations of ours.
        one_a_line,
        the_last_alone,
        nothing_at_all,
        with_a_modseq,
    ],
)
def test_d6_an_answer_to_search_in_lines_empty_or_capped_loses_no_reply(
    wire: Wire, searched: Callable[[Asked], str]
) -> None:
    wire.imap.add("From: someone@example.com\r\n\r\n")
    wire.pass_at(MONDAY + MINUTE)
    wire.imap.odd["UID SEARCH"] = searched
    for person in PEOPLE:
        wire.imap.add(wire.reply(person))
    report, sent = wire.pass_at(THURSDAY)
    assert (report["replies"], sent) == (3, [])


def in_halves(asked: Asked) -> str:
    """Leaves a message out where several are asked for."""
    lines = asked.usual.split("* ")
    return asked.usual if len(asked.uids) == 1 else "* ".join([*lines[:-1], "OK done"])


def with_nil(asked: Asked) -> str:
    first = f"* 1 FETCH (UID {asked.uids[0]} BODY[HEADER]<0> NIL)\r\n"
    return asked.usual if len(asked.uids) == 1 else first + asked.usual.split(")\r\n", 1)[1]


def refused_together(asked: Asked) -> str:
    return asked.usual if len(asked.uids) == 1 else "NO Some of the requested messages no longer exist"


def of_others(asked: Asked) -> str:
    """Answers about a message that nobody asked for."""
    return (
        asked.usual if len(asked.uids) == 1 else "* 9 FETCH (UID 99 BODY[HEADER]<0> {2}\r\n\r\n)\r\nOK done"
    )


@pytest.mark.parametrize("fetched", [in_halves, with_nil, refused_together, of_others])
def test_d6_what_fetch_leaves_out_is_asked_for_singly(wire: Wire, fetched: Callable[[Asked], str]) -> None:
    wire.imap.odd["UID FETCH"] = fetched
    for person in PEOPLE:
        wire.imap.add(wire.reply(person))
    report, sent = wire.pass_at(THURSDAY)
    assert (report["replies"], sent) == (3, [])


@pytest.mark.parametrize(
    "answer",
    [
        "OK done",
        "NO Message could not be read",
        "* 2 FETCH (UID 2 BODY[HEADER]<0> NIL)\r\nOK done",
        # Variations of ours.
        "BAD internal error",
        "* 2 FETCH (UID 2 FLAGS (\\Seen))\r\nOK done",
        "* 2 FETCH (UID 2 BODY[HEADER]<0> {4294967296}\r\nNO",
        "",
    ],
)
def test_d6_a_message_that_stays_missing_is_retried_then_given_up_with_a_note(
    wire: Wire, answer: str
) -> None:
    wire.imap.odd["UID FETCH"] = only_for(2, answer)
    for person in PEOPLE:
        wire.imap.add(wire.reply(person))
    report, _ = wire.pass_at(MONDAY + HOUR)
    assert report["replies"] == 2, "the others are read"
    (missing,) = wire.shown(MONDAY + HOUR)["unread_mails"]
    assert (missing["uid"], missing["given_up_at"]) == (2, None)
    assert "1 mail could not be read" in wire.run(MONDAY + HOUR, "status").stdout
    assert wire.pass_at(THURSDAY, check_status=5)[1] == [], "H5: it may be the third reply"
    assert wire.pass_at(THURSDAY + HOUR)[1] == [QUIN], "given up after three tries"
    (missing,) = wire.shown(THURSDAY + HOUR)["unread_mails"]
    assert missing["given_up_at"] is not None
    assert "given up after 3 tries" in wire.run(THURSDAY + HOUR, "mailbox", "show", ANNA).stdout
    actions = wire.actions(THURSDAY + HOUR)
    assert (actions.count("inbox.mail_left_out"), actions.count("inbox.mail_given_up")) == (1, 1)
    fetched = len(wire.imap.asked("UID FETCH"))
    wire.pass_at(THURSDAY + 2 * HOUR)
    assert len(wire.imap.asked("UID FETCH")) == fetched, "nor asked for ever after"


def test_d6_a_message_that_comes_later_is_read_then(wire: Wire) -> None:
    wire.imap.odd["UID FETCH"] = only_for(2, "OK done")
    for person in PEOPLE:
        wire.imap.add(wire.reply(person))
    wire.pass_at(MONDAY + HOUR)
    wire.imap.odd.clear()
    report, sent = wire.pass_at(THURSDAY)
    assert (report["replies"], sent) == (1, [])
    assert wire.shown(THURSDAY)["unread_mails"] == []


def test_d6_a_message_that_is_deleted_while_it_is_read_is_no_trouble(wire: Wire) -> None:
    def expunged(asked: Asked) -> str:
        wire.imap.mails.pop(2, None)
        return (
            "OK done"
            if asked.uids == (2,)
            else "".join(wire.imap.fetched(uid) for uid in asked.uids if uid != 2) + "OK done"
        )

    for person in PEOPLE:
        wire.imap.add(wire.reply(person))
    wire.imap.odd["UID FETCH"] = expunged
    assert wire.pass_at(THURSDAY)[1] == [QUIN]
    assert wire.shown(THURSDAY)["unread_mails"] == []


def test_b1_id_is_sent_before_a_folder_is_opened_where_the_server_offers_it(wire: Wire) -> None:
    wire.imap.capabilities = "IMAP4rev1 ID"
    wire.imap.odd["EXAMINE"] = lambda _asked: (
        USUAL if wire.imap.asked("ID ") else "NO EXAMINE Unsafe Login. Please contact kefu@188.com for help"
    )
    wire.imap.add(wire.reply(PIA))
    assert wire.pass_at(NOON)[0]["replies"] == 1
    assert all("name" in one and "mailrotate" in one for one in wire.imap.asked("ID "))


@pytest.mark.parametrize("answer", ["NO not now", "BAD what", "* ID NIL\r\nOK done", "OK"])
def test_b1_what_is_answered_to_id_does_not_matter(wire: Wire, answer: str) -> None:
    wire.imap.capabilities = "IMAP4rev1 ID"
    wire.imap.odd["ID"] = says(answer)
    wire.imap.add(wire.reply(PIA))
    assert wire.pass_at(NOON)[0]["replies"] == 1


def bare_status(asked: Asked) -> str:
    return "\r\n".join([*asked.usual.split("\r\n")[:-1], "OK"])


def two_blanks(asked: Asked) -> str:
    return asked.usual.replace("* ", "*  ").replace("OK ", "OK  ").replace(" EXISTS", "  EXISTS")


def small_letters(asked: Asked) -> str:
    head, _, status = asked.usual.rpartition("\r\n")
    words = [("exists", "EXISTS"), ("ok", "OK"), ("search", "SEARCH"), ("fetch", "FETCH")]
    for small, big in words:
        head = head.replace(f" {big} ", f" {small} ").replace(f" {big}\r\n", f" {small}\r\n")
    return f"{head}\r\n{status.lower()}" if head else status.lower()


def bare_line_ends(asked: Asked) -> Iterator[bytes]:
    head, _, status = asked.usual.rpartition("\r\n")
    if "FETCH" in asked.command:
        yield f"{head}\r\n{asked.tag} {status}\n".encode()
    else:
        yield (head.replace("\r\n", "\n") + ("\n" if head else "") + f"{asked.tag} {status}\n").encode()


@pytest.mark.parametrize("slip", [bare_status, two_blanks, small_letters, bare_line_ends])
@pytest.mark.parametrize("verb", ["LOGIN", "EXAMINE", "UID SEARCH", "UID FETCH"])
def test_h5_small_slips_of_a_server_are_forgiven(wire: Wire, verb: str, slip: Callable[[Asked], str]) -> None:
    wire.imap.odd[verb] = slip
    wire.imap.add(wire.reply(PIA))
    assert wire.pass_at(NOON)[0]["replies"] == 1


def test_i4_a_renumbered_inbox_does_not_bring_back_an_unsubscribe_that_was_lifted(wire: Wire) -> None:
    way_out = str(wire.letter_to(PIA)["List-Unsubscribe"])
    subject = way_out.partition("subject=")[2].rstrip(">")
    wire.imap.add(f"From: {PIA}\r\nTo: {ANNA}\r\nSubject: {subject}\r\n\r\n")
    assert wire.pass_at(MONDAY + HOUR)[0]["unsubscribes"] == 1
    wire.run(NOON, "suppression", "remove", PIA, "--yes")
    wire.imap.renumber()
    wire.pass_at(NOON + HOUR)
    assert wire.run(NOON + HOUR, "suppression", "list", "--json").json() == []
    # A new wish counts, also in a folder that is read from its beginning.
    later = "Date: Fri, 07 Mar 2031 08:00:00 +0000"
    wire.imap.add(f"From: {PIA}\r\nTo: {ANNA}\r\nSubject: {subject}\r\n{later}\r\n\r\n")
    wire.imap.renumber()
    assert wire.pass_at(FRIDAY)[0]["unsubscribes"] == 1
    assert [row["value"] for row in wire.run(FRIDAY, "suppression", "list", "--json").json()] == [PIA]


def test_i4_a_new_wish_after_a_lifted_unsubscribe_counts_whatever_its_date(wire: Wire) -> None:
    subject = str(wire.letter_to(PIA)["List-Unsubscribe"]).partition("subject=")[2].rstrip(">")
    wish = f"From: {PIA}\r\nTo: {ANNA}\r\nSubject: {subject}\r\nDate: 1 Jan 2020 00:00:00 +0000\r\n\r\n"
    for at in (MONDAY + HOUR, NOON):
        wire.imap.add(wish)
        assert wire.pass_at(at)[0]["unsubscribes"] == 1
        wire.run(at + HOUR, "suppression", "remove", PIA, "--yes")


def test_f3_the_sent_folder_nearest_to_the_top_gets_the_copies(wire: Wire) -> None:
    from mailrotate.core.values.credential import Password
    from mailrotate.core.values.secret import Secret
    from mailrotate.providers import imap
    from tests.providers.conftest import TIMEOUTS, account_at, local

    account = account_at(1, imap=local(wire.imap.port), credential=Password(Secret(PASSWORD)))
    for listed, expected in [
        (['() "/" Archive/Sent', '() "/" Sent'], "Sent"),
        (['() "/" "2019/Sent Items"', '() "/" Archive/Sent', '() "/" "Sent Items"'], '"Sent Items"'),
        (['() "." INBOX.Archive.Sent', '() "." INBOX.Sent'], "INBOX.Sent"),
        (['(\\Sent) "/" Old/Post', '() "/" Sent'], "Old/Post"),
        (['(\\Sent) "/" Archive/Sent', '(\\Sent) "/" Sent'], "Sent"),
    ]:
        wire.imap.reset()
        wire.imap.listed = "".join(f"* LIST {line}\r\n" for line in listed)
        session = imap.open_session(account, TIMEOUTS)
        session.has_sent_copy("<1@example.com>")
        session.close()
        assert [one.removeprefix("EXAMINE ").strip('"') for one in wire.imap.asked("EXAMINE")] == [
            expected.strip('"')
        ]
