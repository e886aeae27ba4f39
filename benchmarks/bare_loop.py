"""A loop around smtplib, with one connection for each mailbox, that renders the letters of fleet.py."""

import smtplib
import time
from collections.abc import Sequence

from benchmarks import fleet
from mailrotate.core.rules.compose import compose, message_id_for
from mailrotate.core.values.clock import system_clock
from mailrotate.core.values.letter import Letter, Unsubscribe


def send(addresses: Sequence[str], port: int, count: int) -> float:
    """Return the seconds that it took."""
    began = time.perf_counter()
    servers = [smtplib.SMTP("127.0.0.1", port, local_hostname="bench") for _ in addresses]
    for server in servers:
        server.ehlo()
    now = system_clock()
    for n in range(count):
        letter = letter_of(n, addresses[n % len(addresses)])
        servers[n % len(addresses)].sendmail(
            letter.from_address, [letter.to_address], compose(letter, now).raw
        )
    for server in servers:
        server.quit()
    return time.perf_counter() - began


def letter_of(n: int, sender: str) -> Letter:
    token = f"{n:032x}"
    return Letter(
        from_name="Anna Example",
        from_address=sender,
        to_address=f"person{n}@firm{n % 997}.example.com",
        subject_template=fleet.STEP_SUBJECT,
        body_template=fleet.STEP_BODY,
        fields={"first_name": f"Pia{n}", "company": f"Firm {n % 997} & Sons", "city": "Z\u00fcrich"},
        signature_markdown=None,
        unsubscribe=Unsubscribe(sender, token),
        message_id=message_id_for(token, sender),
        in_reply_to=None,
        references=(),
        thread_subject=None,
        attachments=(),
    )


def size_of_letter(sender: str) -> int:
    """Return the bytes of one letter, of which all have about as many."""
    return len(compose(letter_of(0, sender), system_clock()).raw)
