"""Signing for webhooks, judging their answers, and the pauses between tries (C10)."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules.webhook_retry import Outcome, give_up_since, judge, next_try
from mailrotate.core.rules.webhook_signature import secret_text, signed_headers
from mailrotate.core.rules.webhook_url import read_url
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.webhook import WebhookAnswer

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def test_c10_a_signature_is_that_of_standard_webhooks() -> None:
    """The example that its libraries test themselves with."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    assert secret_text(secret) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert signed_headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', at) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_c10_two_secrets_sign_side_by_side() -> None:
    one, other = (signed_headers([key], "msg_1", b"{}", NOW)["webhook-signature"] for key in (b"1", b"2"))
    assert signed_headers([b"1", b"2"], "msg_1", b"{}", NOW)["webhook-signature"] == f"{one} {other}"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.DELIVERED), (204, Outcome.DELIVERED), (299, Outcome.DELIVERED),
        (199, Outcome.REFUSED), (300, Outcome.REFUSED), (301, Outcome.REFUSED), (308, Outcome.REFUSED),
        (400, Outcome.REFUSED),
        (404, Outcome.REFUSED), (429, Outcome.REFUSED), (500, Outcome.REFUSED), (503, Outcome.REFUSED),
        (410, Outcome.GONE),
    ],
)  # fmt: skip
def test_c10_the_status_alone_decides(status: int, outcome: Outcome) -> None:
    assert judge(WebhookAnswer(status, "200 OK")) is outcome


def test_c10_the_pause_doubles_from_half_a_minute_to_six_hours() -> None:
    seconds = [(next_try(count, NOW) - NOW).total_seconds() for count in range(1, 13)]
    assert seconds == [30, 60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600]


@given(st.integers(1, 10**9), st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)))
def test_c10_after_any_number_of_failures_it_is_tried_again_within_six_hours(
    count: int, at: datetime
) -> None:
    now = at.replace(tzinfo=UTC)
    assert timedelta(seconds=30) <= next_try(count, now) - now <= timedelta(hours=6, seconds=1)


def test_c10_a_delivery_is_given_up_when_it_has_failed_for_three_days() -> None:
    assert give_up_since(NOW) == NOW - timedelta(days=3)


@given(st.data())
def test_c10_tries_last_three_days_and_no_more_than_a_pause_longer(data: st.DataObject) -> None:
    """However late each try is made, the last one comes at the end of the three days or after it."""
    first = now = NOW
    for count in range(1, 1000):
        if first <= give_up_since(now):
            assert now - first >= timedelta(days=3)
            return
        now = next_try(count, now) + timedelta(seconds=data.draw(st.integers(0, 3600)))
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "https://example.com:8443/a/b?c=d", "https://10.0.0.7/hook",
        "https://[2001:db8::1]/", "http://localhost:8000/", "http://127.0.0.1/", "http://[::1]:80/",
        "http://127.8.9.1/x", "https://xn--bcher-kva.example/",
    ],
)  # fmt: skip
def test_c10_an_endpoint_is_https_anywhere_or_http_on_this_machine(url: str) -> None:
    assert read_url(url) == url


@pytest.mark.parametrize(
    ("url", "because"),
    [
        ("http://example.com/", "use https"),
        ("http://10.0.0.7/", "use https"),
        ("http://localhost.example.com/", "use https"),
        ("http://0.0.0.0/", "use https"),
        ("ftp://example.com/", "write it like"),
        ("example.com/hooks", "write it like"),
        ("https:///hooks", "write it like"),
        ("https://me:word@example.com/", "user name or password"),
        ("https://me@example.com/", "user name or password"),
        ("https://example.com/#part", "behind #"),
        ("https://example.com/a b", "without blanks"),
        ("https://example.com/\r\nX: y", "without blanks"),
        ("https://bücher.example/", "in ASCII"),
        ("https://example.com:99999/", "Port out of range"),
        ("https://example.com:0/", "port 0"),
        ("https://[::1/", "Invalid IPv6"),
        ("https://example.com/" + "x" * 2000, "without blanks"),
    ],
)
def test_c10_an_address_that_cannot_be_posted_to_safely_is_refused(url: str, because: str) -> None:
    with pytest.raises(BadInput, match=because) as refused:
        read_url(url)
    assert refused.value.code == "webhook.url"
