"""Webhooks by command line, from adding one to what arrives (C10)."""

import base64
from datetime import timedelta

import pytest

from tests.acceptance.autumn import MONDAY
from tests.acceptance.conftest import BEN
from tests.support.canary import files_with, said_with
from tests.support.console import Console
from tests.support.webhook_server import Receiver, status


def add(program: Console, receiver: Receiver, *wanted: str) -> str:
    flags = [word for event in wanted or ("all",) for word in ("--event", event)]
    made = program.at(MONDAY).run("webhook", "add", receiver.url, *flags, "--json").json()
    assert made["secret"].startswith("whsec_")
    return str(made["secret"])


def notify(program: Console, later: timedelta = timedelta()) -> int:
    # Later than what happened at MONDAY, however long those commands took.
    ran = (
        program.at(MONDAY + timedelta(minutes=1) + later)
        .run("run", "--once", "--only", "notify", "--json")
        .json()
    )
    assert ran["sent"] == 0
    return int(ran["posted"])


def test_c10_a_disconnect_is_told_and_the_secret_is_shown_once(program: Console, receiver: Receiver) -> None:
    secret = add(program, receiver, "mailbox.disconnected", "mailbox.connected")
    program.at(MONDAY).run("mailbox", "disconnect", BEN, "--yes")
    assert notify(program) == 1
    (posted,) = receiver.posted
    assert posted.signed_by(secret)
    assert (posted.json()["type"], posted.json()["mailbox"]["state"]) == (
        "mailbox.disconnected",
        "disconnected",
    )
    for words in (("webhook", "list"), ("log",), ("status",), ("db", "stats")):
        for form in ((), ("--json",)):
            ran = program.at(MONDAY).run(*words, *form)
            assert secret not in ran.stdout + ran.stderr
    (listed,) = program.at(MONDAY).run("webhook", "list", "--json").json()
    assert (listed["state"], listed["waiting"], listed["given_up"]) == ("working", 0, 0)
    assert "webhooks" in program.at(MONDAY).run("status", "--json").json()


EVERYWHERE = (
    ("webhook", "list"), ("log",), ("log", "--action", "webhook."), ("why", BEN), ("status",),
    ("settings", "show"), ("outbox", "list"), ("db", "stats"), ("webhook", "test", "w_1"),
    ("webhook", "resend", "w_1"), ("run", "--once", "--only", "notify"), ("webhook", "test", "w_9"),
    ("webhook", "add", "http://example.com/", "--event", "all"), ("webhook", "remove", "w_1"), ("log",),
)  # fmt: skip


def test_i1_no_command_shows_the_secret_of_a_webhook_after_it_was_made(
    program: Console, receiver: Receiver
) -> None:
    """The same holds for the secret before a rotation, while the endpoint refuses both signatures."""
    secrets = [add(program, receiver)]
    rotated = program.at(MONDAY).run("webhook", "rotate", "w_1", "--json").json()
    secrets.append(rotated["secret"])
    receiver.will(status(500, b"no room"))
    program.at(MONDAY).run("mailbox", "disconnect", BEN, "--yes")
    notify(program)
    said = []
    for words in EVERYWHERE:
        for form in ((), ("--json",), ("--debug",), ("--json", "--debug")):
            ran = program.at(MONDAY + timedelta(minutes=2)).run(*words, *form, check_status=None)
            said += [ran.stdout, ran.stderr]
    assert receiver.posted
    assert any("no room" in text for text in said), "the refused endpoint is told"
    for secret in secrets:
        _, _, key = secret.partition("_")
        # As it is written, and the key itself, which is its base64.
        for canary in (secret, key):
            assert said_with(canary, said) == []
            assert files_with(canary, program.home) == []
        assert [text for text in said if base64.b64decode(key).hex() in text] == []


def test_c10_people_get_the_secret_on_standard_output_alone(program: Console, receiver: Receiver) -> None:
    ran = program.run("webhook", "add", receiver.url, "--event", "mailbox.failed")
    assert ran.stdout.startswith("whsec_")
    assert len(ran.stdout.splitlines()) == 1
    assert "shown only once" in ran.stderr
    rotated = program.at(MONDAY).run("webhook", "rotate", "w_1")
    assert rotated.stdout != ran.stdout
    assert "both secrets sign until 2031-03-04 09:00:00 UTC" in rotated.stderr


def test_c10_field_16_status_names_a_webhook_in_trouble_and_what_was_given_up(
    program: Console, receiver: Receiver
) -> None:
    add(program, receiver)
    receiver.will(status(500, b"no room"))
    program.at(MONDAY).run("mailbox", "disconnect", BEN, "--yes")
    notify(program)
    assert "webhook w_1: failing, 1 event waiting: mailrotate webhook list" in (
        program.at(MONDAY).run("status").stdout
    )
    for day in range(1, 5):
        notify(program, timedelta(days=day))
    (listed,) = program.at(MONDAY).run("webhook", "list", "--json").json()
    assert (listed["waiting"], listed["given_up"], listed["last_error"]) == (0, 1, "500: no room")
    assert "1 event given up" in program.at(MONDAY + timedelta(days=4)).run("status").stdout
    receiver.will(status(204))
    again = program.at(MONDAY + timedelta(days=4)).run("webhook", "resend", "w_1", "--json").json()
    assert again == {"queued": 1}
    assert notify(program, timedelta(days=4, minutes=2)) == 1
    assert len({one.key for one in receiver.posted}) == 1
    assert "webhook" not in program.at(MONDAY + timedelta(days=4)).run("status").stdout


def test_c10_an_endpoint_that_is_gone_is_off_until_a_test_works(program: Console, receiver: Receiver) -> None:
    add(program, receiver)
    receiver.will(status(410))
    program.at(MONDAY).run("mailbox", "disconnect", BEN, "--yes")
    notify(program)
    assert "webhook w_1: off, 1 event given up" in program.at(MONDAY).run("status").stdout
    refused = program.at(MONDAY).run("webhook", "test", "w_1", check_status=5)
    assert "w_1 did not take the test: 410" in refused.stderr
    receiver.will(status(204))
    program.at(MONDAY).run("webhook", "test", "w_1")
    assert receiver.types()[-1] == "webhook.test"
    (listed,) = program.at(MONDAY).run("webhook", "list", "--json").json()
    assert (listed["state"], listed["off_at"]) == ("working", None)


@pytest.mark.parametrize("only", ["send", "sync", "test"])
def test_c10_a_pass_for_something_else_tells_nobody(program: Console, receiver: Receiver, only: str) -> None:
    add(program, receiver)
    program.at(MONDAY).run("mailbox", "disconnect", BEN, "--yes")
    program.at(MONDAY).run("run", "--once", "--only", only)
    assert receiver.posted == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("webhook", "add", "http://example.com/", "--event", "all"), "webhook.url"),
        (("webhook", "add", "https://example.com/", "--event", "mail"), "webhook.event"),
        (("webhook", "resend"), "webhook.what"),
        (("webhook", "remove", "b_1"), "id.invalid"),
        (("run", "--once", "--only", "mail"), "run.only"),
    ],
)
def test_a_mistyped_webhook_command_changes_nothing(
    program: Console, words: tuple[str, ...], code: str
) -> None:
    assert program.run(*words, "--json", check_status=2).error()["code"] == code
    assert program.run("webhook", "list", "--json").json() == []
