"""What providers allow, as data that the operator can change (B4)."""

from datetime import timedelta

import pytest

from mailrotate.core.rules.provider_limits import (
    Limit,
    check_override,
    files_sent_copy,
    known_limits,
    limits_for,
    overrides_in,
)
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint

DAY, MINUTE = timedelta(hours=24), timedelta(minutes=1)
PROVIDERS = ("google", "microsoft", "imap", "mailbox.org")


def in_force(provider: str, address: str, **settings: str) -> dict[str, tuple[int, timedelta]]:
    overrides = overrides_in({key.replace("__", "."): value for key, value in settings.items()})
    return {one.name: (one.limit, one.period) for one in limits_for(provider, overrides, address)}


def test_b4_each_provider_has_its_limits() -> None:
    assert in_force("google", "a@example.com") == {"google.day": (2000, DAY)}
    assert in_force("google", "a@gmail.com") == {"gmail.day": (500, DAY)}
    assert in_force("microsoft", "a@example.com") == {
        "microsoft.day": (10_000, DAY),
        "microsoft.minute": (30, MINUTE),
    }
    assert in_force("microsoft", "a@hotmail.co.uk") == {}
    assert in_force("imap", "a@example.com") == {}


def test_b4_a_limit_says_in_words_what_it_is() -> None:
    assert limits_for("google", {}) == (
        Limit("google.day", "2,000 messages in any 24 hours (Google Workspace)", DAY, 2000),
    )


def test_b4_the_operators_number_goes_before_the_data() -> None:
    assert in_force("google", "a@example.com", limit__google__day="1500") == {"google.day": (1500, DAY)}
    assert in_force("google", "a@example.com", limit__google__day="off") == {}
    assert in_force("google", "a@gmail.com", limit__google__day="1500") == {"gmail.day": (500, DAY)}


def test_b4_the_operator_may_limit_a_provider_that_the_data_does_not_know() -> None:
    assert in_force("imap", "a@example.com", limit__imap__hour="90", gap="5m") == {
        "imap.hour": (90, timedelta(hours=1))
    }
    assert in_force("google", "a@example.com", limit__imap__hour="90") == {"google.day": (2000, DAY)}
    assert in_force("mailbox.org", "a@mailbox.org", **{"limit.mailbox.org.day": "7"}) == {
        "mailbox.org.day": (7, DAY)
    }


def test_b4_every_limit_is_shown_with_its_source_and_date() -> None:
    listed = {known.name: known for known in known_limits({"google.day": None, "imap.day": 5})}
    assert set(listed) == {"google.day", "gmail.day", "microsoft.day", "microsoft.minute", "imap.day"}
    assert listed["google.day"].limit is None
    assert listed["google.day"].default == 2000
    assert (listed["imap.day"].limit, listed["imap.day"].source) == (5, None)
    for known in known_limits({}):
        assert known.source is not None
        assert known.source.startswith("https://")
        assert known.gathered == "2026-11"


@pytest.mark.parametrize(
    ("name", "value", "setting"),
    [
        ("google.day", "1500", ("limit.google.day", "1500")),
        ("gmail.day", " 0400 ", ("limit.gmail.day", "400")),
        ("imap.minute", "OFF", ("limit.imap.minute", "off")),
        ("imap.day", "999999999", ("limit.imap.day", "999999999")),
        ("mailbox.org.hour", "1", ("limit.mailbox.org.hour", "1")),
    ],
)
def test_b4_an_override_becomes_a_setting_that_is_read_back(
    name: str, value: str, setting: tuple[str, str]
) -> None:
    assert check_override(name, value, PROVIDERS) == setting
    assert set(overrides_in(dict([setting]))) == {name}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("nobody.day", "5", "limits.unknown"),
        ("google.week", "5", "limits.unknown"),
        ("google", "5", "limits.unknown"),
        ("", "5", "limits.unknown"),
        ("gmail.minute", "5", "limits.unknown"),
        ("google.day", "0", "limits.invalid"),
        ("google.day", "-1", "limits.invalid"),
        ("google.day", "many", "limits.invalid"),
        ("google.day", "²", "limits.invalid"),
        ("google.day", "1000000000", "limits.invalid"),
    ],
)
def test_b4_a_limit_that_makes_no_sense_is_refused(name: str, value: str, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_override(name, value, PROVIDERS)
    assert refused.value.code == code
    assert refused.value.hint == {
        "limits.unknown": Hint(
            "write a provider and minute, hour, day, like google.day; to see all:", Command("limits", "show")
        ),
        "limits.invalid": "write a number of messages from 1, or off",
    }.get(code)


def test_f3_who_files_sent_mail_by_itself_is_known_for_some() -> None:
    assert [files_sent_copy(name) for name in ("google", "microsoft", "icloud", "zoho")] == [True] * 4
    assert files_sent_copy("imap") is None
