"""The main job on a real Dovecot and a real SMTP server over TLS; its passes are processes at a set time."""

from collections import Counter
from datetime import timedelta

from tests.acceptance.autumn import MONDAY, start_campaign
from tests.acceptance.conftest import ANNA, BEN
from tests.support.console import Console
from tests.support.post_office import PostOffice, sent_by


def test_two_mailboxes_ten_people_two_steps_and_one_answer(program: Console, post_office: PostOffice) -> None:
    process = program.process
    # Between two passes days go by in which this machine has been up for seconds.
    program.at(MONDAY - timedelta(hours=1)).run("settings", "set", "clock_jump=off")
    people = [post_office.add(f"main-{number}@example.com") for number in range(10)]
    received = post_office.smtp.received
    before = len(received)
    start_campaign(program.at(MONDAY - timedelta(hours=1)), people, ANNA, BEN)

    early = program.at(MONDAY - timedelta(minutes=5)).run("run", "--once", "--json").json()
    assert early["sent"] == 0, "D4: nothing leaves before the window opens"

    first = process.at(MONDAY).run("run", "--once", "--json").json()
    assert (first["sent"], first["failed"], first["deferred"], first["held"]) == (10, 0, 0, 0)
    firsts = received[before:]
    assert Counter(one.login for one in firsts) == {ANNA: 5, BEN: 5}, "E1: ten over two is five and five"
    assert all(one.login == one.sender for one in firsts), "the envelope's sender is the mailbox"
    letters = {person: post_office.inbox(person) for person in people}
    assert [len(found) for found in letters.values()] == [1] * 10, "each person got the first step once"
    began = {person: found[0] for person, found in letters.items()}
    by = {person: began[person]["From"].addresses[0].addr_spec for person in people}
    assert by == {person: login for login, to in sent_by(firsts).items() for person in to}
    assert len({letter["Message-ID"] for letter in began.values()}) == 10, "I4: a Message-ID of its own"
    assert began[people[3]]["Subject"] == "A question for Company 3"
    for letter in began.values():
        assert letter["List-Unsubscribe"].startswith("<mailto:"), "I4: a way out in each message"
        assert letter["In-Reply-To"] is None
        assert [part.get_content_type() for part in letter.walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]

    answering = people[4]
    post_office.answer(began[answering])
    again = process.at(MONDAY + timedelta(hours=1)).run("run", "--once", "--json").json()
    assert (again["sent"], again["replies"]) == (0, 1), "G1: a reply is known by its thread"

    thursday = MONDAY + timedelta(days=3, minutes=1)
    second = process.at(thursday).run("run", "--once", "--json").json()
    assert second["sent"] == 9, "D6: who answered gets nothing more, all others get the second step"
    for person in people:
        found = post_office.inbox(person)
        if person == answering:
            assert len(found) == 1, "D6: who answered gets nothing more"
            continue
        first_letter, follow_up = found
        assert follow_up["From"].addresses[0].addr_spec == by[person], "D5: from the same mailbox"
        assert follow_up["In-Reply-To"] == first_letter["Message-ID"], "D5: in the thread of the first"
        assert follow_up["References"] == first_letter["Message-ID"]
        assert follow_up["Subject"] == f"Re: {first_letter['Subject']}"

    third = program.at(thursday + timedelta(minutes=1)).run("run", "--once", "--json").json()
    assert third["sent"] == 0, "F3: nothing goes out twice"
    late = program.at(MONDAY + timedelta(days=10)).run("run", "--once", "--json").json()
    assert late["sent"] == 0
    assert len(received) - before == 19

    shown = program.at(thursday + timedelta(days=8)).run("campaign", "show", "autumn", "--json").json()
    assert shown["recipients"]["replied"] == 1
    assert shown["recipients"]["finished"] == 9
    assert [step["sent"] for step in shown["steps"]] == [10, 9]
    assert Counter(letter["From"] for letter in post_office.inbox(ANNA, "Sent")), "F3: a sent copy is filed"
