"""Mutated mails through the reader of headers, and the whole reading of an inbox: nothing raises (G1).

`MAILROTATE_FUZZ_COUNT=100000` runs more than `make proof` does, and `MAILROTATE_FUZZ_SEED` other ones.
"""

import os
import random
import resource
import time
from datetime import timedelta

import pytest

from mailrotate.core.rules.inbound import read_headers
from mailrotate.core.services.sending import inbox_reading
from mailrotate.core.store.sending import sending_mailboxes, unread_mail
from tests.fuzz import allowance
from tests.support.contexts import context_of
from tests.support.inbox import Inbox
from tests.support.rows import NOW, Workspace

pytestmark = [pytest.mark.proof, allowance.within_its_time]

COUNT = int(os.environ.get("MAILROTATE_FUZZ_COUNT", "2000"))
SEED = int(os.environ.get("MAILROTATE_FUZZ_SEED", "20261128"))
TOKEN = "0123456789abcdef0123456789abcdef"

CORPUS = [
    f"From: Pia <pia@example.com>\r\nTo: anna@example.org\r\nIn-Reply-To: <{TOKEN}@example.org>\r\n"
    f"References: <{TOKEN}@example.org>\r\n <x@example.com>\r\nSubject: Re: A question\r\n"
    "Date: Mon, 03 Mar 2031 09:30:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\nYes.\r\n",
    f"From: pia@example.com\r\nTo: anna@example.org\r\nSubject: unsubscribe {TOKEN}\r\n\r\n",
    "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.com>\r\nSubject: =?iso-8859-1?b?R3L832U=?=\r\n"
    "Auto-Submitted: auto-replied (vacation)\r\nPrecedence: bulk\r\n\r\nAway until Monday.\r\n",
    "From: MAILER-DAEMON@example.net (Mail Delivery System)\r\nReturn-Path: <>\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"
    "X-Failed-Recipients: pia@example.com\r\nSubject: Undelivered\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
    'From: a@b.example, "c, d" <e@f.example>\r\nX-Autoreply: yes\r\nMessage-ID: <>\r\n'
    "In-Reply-To: &lt;a@b.example&gt; =?utf-8?q?=3Cc=40d=2Eexample=3E?=\r\nDate: yesterday\r\n\r\n",
]
TOKENS = [
    b"=?\xc3\xbctf-8?q?hello?=", b"=?utf-8?b?/w=?=", b"=?idna?q?xn--?=", b"=?unicode_escape?q?=5Cx?=", b"=?",
    b"?=", b"<", b">", b"@", b"\x00", b"\xff\xfe", b"\r", b"\n", b"\r\n", b"\r\n ", b"\t", b'"', b"\\", b"()",
    b"%3C", b"&lt;", b"&#0;", b"&#99999999999;", b"\xe2\x80\xae", b"\xed\xa0\x80", b"9" * 5000, b"a" * 70_000,
    b"<" * 3000, b"=?utf-8?q?" * 500, f"<{TOKEN}@".encode(), TOKEN.encode() * 40, b"References: ", b"Date: ",
    b"Subject: unsubscribe ", b"From: ", b"Content-Type: multipart/report", b"+9999", b"31 Dec 9999",
]  # fmt: skip


def mutated(random_: random.Random) -> bytes:
    mail = bytearray(random_.choice(CORPUS).encode())
    for _ in range(random_.choice((1, 1, 2, 3, 5, 8, 40))):
        at = random_.randrange(len(mail) + 1)
        to = min(len(mail), at + random_.choice((1, 1, 2, 5, 30, 200)))
        match random_.randrange(7):
            case 0:
                mail[at:to] = b""
            case 1:
                mail[at:at] = random_.choice(TOKENS)
            case 2:
                mail[at:to] = random_.randbytes(to - at)
            case 3:
                mail[at:at] = mail[at:to] * random_.choice((2, 3, 50, 1000))
            case 4:
                other = random_.choice(CORPUS).encode()
                mail[at:to] = other[random_.randrange(len(other)) :]
            case 5:
                mail[at:to] = mail[at:to].swapcase()
            case _:
                del mail[to:]
        # The reader is given no more than this of any mail.
        del mail[64 * 1024 :]
    return bytes(mail)


def most_resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_g1_no_mutated_mail_raises_takes_a_second_or_makes_memory_grow() -> None:
    random_ = random.Random(SEED)
    after_first = 0
    for number in range(COUNT):
        raw = mutated(random_)
        # Of this process: other work on the machine must not fail the proof.
        began = time.process_time()
        read = read_headers(raw, {"anna@example.org"})
        took = time.process_time() - began
        assert took <= 1, (number, took, raw[:300])
        assert read.header_id
        read.subject.encode()
        assert len(read.cited_ids) <= 100
        assert len(read.cited_tokens) <= 100
        if number == 999:
            after_first = most_resident()
    assert not after_first or most_resident() <= 1.2 * after_first


class Mails(Inbox):
    def __init__(self, mails: list[bytes]) -> None:
        self.inbox = mails


def test_g1_every_mutated_mail_is_acted_on_or_noted(workspace: Workspace) -> None:
    context, anna = context_of(workspace), workspace.add_mailbox("anna@example.org")
    random_ = random.Random(SEED)
    after_first = 0
    with workspace.store.reading() as connection:
        box = sending_mailboxes.by_id(connection, anna.id)
    for start in range(0, COUNT, 500):
        mails = [mutated(random_) for _ in range(min(500, COUNT - start))]
        inbox_reading.read_inbox(context, Mails(mails), box, NOW + timedelta(minutes=start))
        with workspace.store.reading() as connection:
            assert unread_mail.of_mailbox(connection, anna.id) == []
        if start == 500:
            after_first = most_resident()
    assert not after_first or most_resident() <= 1.2 * after_first
