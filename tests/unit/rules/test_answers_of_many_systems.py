"""What published answers of many mail systems mean, and that nobody is suppressed on a code alone (F4)."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.core.rules.replies import ReplyVerdict, classify, parse_reply, plain
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import Phase, ReplyClass
from tests.support.answers import Answer, published, systems

# Statuses that say in themselves that the address or its domain is not there (RFC 3463, RFC 7505).
NOT_THERE = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.4.4", "5.4.310")


def _readings(answer: Answer) -> list[ReplyVerdict]:
    """As a person copies it from a log, and as the session reads it from the wire."""
    texts = dict.fromkeys((answer.text, answer.on_one_line))
    return [classify(parse_reply(text, Phase(answer.phase)), "imap") for text in texts]


@pytest.mark.parametrize("system", systems())
def test_f4_a_published_answer_means_what_its_source_says(system: str) -> None:
    wrong = [
        f"{answer.reply_class} read as {verdict.reply_class} by {verdict.rule}: {answer.text!r}"
        for answer in systems()[system]
        for verdict in _readings(answer)
        if verdict.reply_class != answer.reply_class
    ]
    assert not wrong, "\n".join(wrong)


def test_f4_an_answer_beyond_the_rules_suppresses_nobody() -> None:
    answers = published("beyond")
    assert len(answers) <= len(published()) / 20
    for answer in answers:
        classes = {verdict.reply_class for verdict in _readings(answer)}
        assert ReplyClass.HARD not in classes, answer.text
        assert classes != {answer.reply_class}, f"move it to the answers: {answer.text}"


def test_the_answers_come_from_many_systems_and_no_two_are_alike() -> None:
    answers = published() + published("beyond")
    assert len(answers) >= 900
    assert len(systems()) >= 130
    assert [text for text, count in Counter(answer.masked for answer in answers).items() if count > 1] == []
    for answer in answers:
        assert answer.source.startswith(("http://", "https://"))
        assert answer.reply_class in set(ReplyClass)
        assert answer.phase in set(Phase)


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA, Phase.DOT])
@pytest.mark.parametrize(
    "words", ["", "No", "Error", "Rejected", "Go away", "see https://example.com/no-such-user"]
)
def test_f4_no_code_alone_ends_a_recipient(phase: Phase, words: str) -> None:
    for code in range(400, 600):
        verdict = classify(ServerReply(phase, code, None, words), "imap")
        assert verdict.reply_class is not ReplyClass.HARD, verdict.rule


@settings(max_examples=300)
@given(
    st.sampled_from([Phase.RCPT, Phase.DATA, Phase.DOT]),
    st.integers(400, 599),
    st.builds("{}.{}.{}".format, st.sampled_from([4, 5]), st.integers(0, 7), st.integers(0, 40)),
)
def test_f4_only_a_status_that_says_so_ends_a_recipient_without_words(
    phase: Phase, code: int, status: str
) -> None:
    if classify(ServerReply(phase, code, status, status), "imap").reply_class is ReplyClass.HARD:
        assert status in NOT_THERE
        assert code >= 500


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA, Phase.DOT])
def test_f4_a_temporary_answer_ends_nobody_whatever_it_says(phase: Phase) -> None:
    for answer in published():
        if answer.reply_class == "hard":
            text = "450 " + answer.on_one_line[4:].replace("5.", "4.", 1)
            assert classify(parse_reply(text, phase), "imap").reply_class is not ReplyClass.HARD


def test_f4_words_about_the_sender_count_before_a_status_about_the_recipient() -> None:
    for words in (
        "has sent too many messages this hour",
        "sender rejected",
        "blocked using zen.spamhaus.org",
    ):
        for status in NOT_THERE:
            verdict = classify(parse_reply(f"550 {status} <kim@example.com>: {words}", Phase.RCPT), "imap")
            assert verdict.reply_class in (ReplyClass.LIMIT, ReplyClass.SENDER)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("550-5.1.1 No such\n550 5.1.1 user", "No such user"),
        ("550 5.1.1 No such 5.1.1 user", "No such user"),
        ("421-4.7.28 an unusual 421-4.7.28 rate", "an unusual rate"),
        ("550 <no-such-user@example.com>: no", "<address>: no"),
        ("550 see https://example.com/?p=NoSuchUser now", "see now"),
        ("550 Boîte pleine; żółw, Straße", "Boite pleine; zolw, Strasse"),
        ("550 sorry (#5.1.1)", "sorry"),
        ("550 host 203.0.113.7 said no", "host 203.0.113.7 said no"),
        ("550 mx.no-such-user.example.com said no", "name said no"),
        ("550 see https://spamhaus.org/query/203.0.113.7", "see blocklist"),
        ("550 203.0.113.7 is in zen.spamhaus.org", "203.0.113.7 is in blocklist"),
        ("522_mailbox_full;size 9", "522 mailbox full;size 9"),
    ],
)
def test_f4_the_words_of_an_answer_are_taken_without_numbers_links_hosts_and_accents(
    text: str, words: str
) -> None:
    assert plain(text) == words
