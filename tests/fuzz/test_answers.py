"""Mutated answers of real servers through the classifier and through the reader of the SMTP dialogue.

2,000 by default. By hand, for a longer run or with another seed:

    MAILROTATE_FUZZ_COUNT=100000 MAILROTATE_FUZZ_SEED=7 \
        pytest -m proof --log-cli-level=INFO tests/fuzz/test_answers.py
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from random import Random

import pytest

from mailrotate.core.rules.replies import classify, parse_reply
from mailrotate.core.values.mail import Endpoint
from mailrotate.core.values.states import Phase, ReplyClass, Security
from mailrotate.providers.smtp_conversation import Broken, Conversation
from tests.fuzz import allowance
from tests.support.answers import published

pytestmark = [pytest.mark.proof, allowance.within_its_time]

PHASES = list(Phase)
PROVIDERS = ("google", "microsoft", "imap")
# A socket holds this much that nobody has read yet.
LONGEST = 60_000
# One line of each kind, and as many lines as fit.
LONGEST_FIRST = [
    start + piece * (LONGEST // len(piece))
    for start, piece in (
        (b"550 ", b"x"),
        (b"550 ", b"5.1.1 <a@b.example> "),
        (b"550 ", b"\xff"),
        (b"", b"550-x\r\n"),
        (b"", b"550-5.1.1 <a@b.example>\r\n"),
    )
]
# As many answers are read as a message has commands, and a few more.
COMMANDS = 20
ODD = [
    b"\0", b"\r", b"\n", b"\r\n", b"\x1b[2J", b"\xff\xfe", b"\xe2\x80\xae", "ü".encode(), "İ".encode(), b"-",
    b" ",     b"%s", b"550", b"5.1.1", b"#5.1.1", b"999999999999.1.1", b"4.7.1", b"http://", b"@", b"<",
    b"\xf0\x9f\x92\xa9",
]  # fmt: skip


def _put_in(random: Random, said: bytes) -> bytes:
    at = random.randrange(len(said) + 1)
    return said[:at] + random.choice(ODD) + said[at:]


def _cut(random: Random, said: bytes) -> bytes:
    return said[: random.randrange(len(said) + 1)]


def _take_out(random: Random, said: bytes) -> bytes:
    first, last = sorted(random.choices(range(len(said) + 1), k=2))
    return said[:first] + said[last:]


def _repeat(random: Random, said: bytes) -> bytes:
    first, last = sorted(random.choices(range(len(said) + 1), k=2))
    # No more than is kept: else the memory that is measured would be what is built here.
    times = min(random.choice((2, 50, 2_000)), LONGEST // max(last - first, 1) + 1)
    return (said[:first] + said[first:last] * times + said[last:])[:LONGEST]


def _change_a_byte(random: Random, said: bytes) -> bytes:
    at = random.randrange(len(said) + 1)
    return said[:at] + bytes([random.randrange(256)]) + said[at + 1 :]


def _change_the_code(random: Random, said: bytes) -> bytes:
    return b"%d" % random.choice((0, 99, 199, 250, 334, 354, 421, 550, 600, 5500)) + said[3:]


def _join_another(random: Random, said: bytes) -> bytes:
    return said + random.choice((b"", b"\r\n", b" ")) + random.choice(published()).text.encode()


def _fold(_random: Random, said: bytes) -> bytes:
    return b"\r\n".join(b"550-" + word for word in said.split(maxsplit=900)[:900])


def _change_case(random: Random, said: bytes) -> bytes:
    return random.choice((said.upper(), said.swapcase(), said.title()))


MUTATORS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _put_in, _cut, _take_out, _repeat, _change_a_byte, _change_the_code, _join_another, _fold, _change_case,
)  # fmt: skip


def mutated(count: int) -> Iterator[tuple[bytes, Phase, str]]:
    """Answers that no server has given yet, the same ones for a seed."""
    random = Random(int(os.environ.get("MAILROTATE_FUZZ_SEED", "4711")))
    # The longest answers come first, so that later growth of the memory is not due to length.
    for longest in LONGEST_FIRST[:count]:
        yield longest[:LONGEST], Phase.RCPT, "imap"
    for _ in range(count - len(LONGEST_FIRST)):
        said = random.choice(published()).text.replace("\n", "\r\n").encode()
        for mutate in random.choices(MUTATORS, k=random.randint(1, 4)):
            said = mutate(random, said)
        yield said[:LONGEST], random.choice(PHASES), random.choice(PROVIDERS)


def test_f4_no_answer_upsets_the_classifier() -> None:
    def read(given: tuple[bytes, Phase, str]) -> None:
        said, phase, provider = given
        verdict = classify(parse_reply(said.decode(errors="replace"), phase), provider)
        assert verdict.reply_class in ReplyClass

    # Its patterns are compiled once, which the first answer must not be charged with.
    read((b"550 no", Phase.RCPT, "imap"))
    count = allowance.count(2_000)
    assert allowance.try_each(mutated(count), read) == count


def test_f3_no_answer_upsets_the_dialogue_and_it_reads_at_most_what_was_said() -> None:
    def read(given: tuple[bytes, Phase, str]) -> None:
        with socket.create_connection(server.getsockname()) as theirs, server.accept()[0] as ours:
            theirs.sendall(given[0] + b"\r\n")
            theirs.shutdown(socket.SHUT_WR)
            conversation = Conversation(ours, Endpoint("localhost", 25, Security.NONE))
            conversation.reply_within = 1
            with contextlib.suppress(Broken):
                for _ in range(COMMANDS):
                    code, _ = conversation.getreply()
                    assert 200 <= code < 600

    count = allowance.count(2_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert allowance.try_each(mutated(count), read) == count
