"""A search for a secret that overlooks one of its forms would prove nothing."""

import base64
from urllib.parse import quote, quote_plus

import pytest

from tests.support.canary import found_in

SECRET = "Canary+of/the=mine 4711"
PLAIN = SECRET.encode()
FORMS = {
    "plain": PLAIN,
    "reversed": PLAIN[::-1],
    "hex": PLAIN.hex().encode(),
    "url": quote(SECRET, safe="").encode(),
    "form": quote_plus(SECRET).encode(),
    "utf-16": SECRET.encode("utf-16"),
    **{f"base64 at {n}": base64.b64encode(b"user\0me\0"[n:] + PLAIN + b"after") for n in range(4)},
    "of base64's own": base64.b64encode(PLAIN),
}


@pytest.mark.parametrize("form", FORMS)
def test_i1_the_search_sees_a_secret_in_each_form(form: str) -> None:
    assert found_in(SECRET, b"before " + FORMS[form] + b" behind")


def test_i1_the_search_sees_nothing_where_there_is_nothing() -> None:
    assert found_in(SECRET, base64.b64encode(b"a canary of another mine 4711") + PLAIN[:-1]) == []
