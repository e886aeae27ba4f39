"""Whose an address is, by how it is written (A8)."""

import tomllib
from importlib.resources import files

import pytest

from mailrotate.core.rules.role_addresses import is_role_address, shows_its_user


@pytest.mark.parametrize(
    "local",
    [
        # RFC 2142, all of it.
        "info", "marketing", "sales", "support", "abuse", "noc", "security", "postmaster", "hostmaster",
        "usenet", "news", "webmaster", "www", "uucp", "ftp", "staff-request",
        # Common ones.
        "hello", "team", "office", "contact", "noreply", "kontakt", "ventas",
        # However they are spelt.
        "SALES", "sales+eu", "sales+", "in.fo", "no-reply", "no_reply", "do-not-reply", "n.o.r.e.p.l.y",
        # Several in one.
        "sales-team", "support.office", "hello+anna",
    ],
)  # fmt: skip
def test_a8_a_role_name_is_known_however_it_is_spelt(local: str) -> None:
    assert is_role_address(f"{local}@example.org")


@pytest.mark.parametrize(
    "local",
    [
        "anna", "sam.sales", "hello.kitty", "anna+sales", "infos", "salesman", "teamo", "it.wasme",
        "info.anna", "supportive", "sales.smith", "newson", "-request", "request", "ceo", "mail", "+info",
    ],
)  # fmt: skip
def test_a8_a_person_whose_name_holds_a_role_is_a_person(local: str) -> None:
    assert not is_role_address(f"{local}@example.org")


def test_a8_a_domain_makes_no_role() -> None:
    assert not is_role_address("anna@sales.example.org")


def test_the_names_are_dated_sourced_and_spelt_as_they_are_compared() -> None:
    data = tomllib.loads((files("mailrotate.core.rules") / "role_addresses.toml").read_text(encoding="utf-8"))
    assert data["gathered"]
    names = [name for group in data["groups"] for name in group["names"]]
    assert all(group["source"] for group in data["groups"])
    assert all(name.isascii() and name.isalpha() and name.islower() for name in names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("local", "name"),
    [
        ("anna", "Anna Example"),
        ("a.example", "Anna Example"),
        ("aexample", "Anna Example"),
        ("example.a", "Anna Example"),
        ("examplea", "Anna Example"),
        ("aexam", "Anna Example"),
        ("anna.example+news", "Anna Example"),
        ("annaexample84", "Anna Example"),
        ("hello.anna", "Anna Example"),
        ("ae", "Anna Example"),
        ("ben", "Benjamin Blum"),
        ("bo", "Bo Li"),
        ("bli", "Bo Li"),
        ("lib", "Bo Li"),
        ("jrrt", "John Ronald Reuel Tolkien"),
        ("tjrr", "John Ronald Reuel Tolkien"),
        ("jtolk", "John Ronald Tolkien"),
        ("lvb", "Ludwig van Beethoven"),
        ("lb", "Ludwig van Beethoven"),
        ("l.b", "Ludwig van Beethoven"),
        ("jsmi", "John Smith"),
        # A word of four letters anywhere, one of three at either end.
        ("hiannahere", "Anna Example"),
        ("annsdeals", "Ann Bell"),
        ("dealsann", "Ann Bell"),
        ("xdli", "Pat D'Li"),
        ("obrien", "Pat O'Brien"),
        ("jeanluc", "Jean-Luc Picard"),
        ("mueller", "Jörg Müller"),
        ("j.muller", "Jörg Müller"),
        ("joerg", "Jörg Müller"),
        ("rene", "René Descartes"),
        ("strasse", "Eva Straße"),
        ("soren", "Søren Ægir"),
        ("soeren", "Søren Ægir"),
        ("lukasz", "Łukasz Żak"),
        ("anna", "ANNA EXAMPLE"),
    ],
)
def test_a8_an_address_shows_its_user_by_any_part_of_the_name(local: str, name: str) -> None:
    assert shows_its_user(f"{local}@example.com", name, "u17@example.org")


@pytest.mark.parametrize(
    ("local", "name"),
    [
        ("ben", "Anna Example"),
        ("a", "Anna Example"),
        ("an", "Anna Example"),
        ("newdeals", "Anna Example"),
        ("van", "Ludwig van Beethoven"),
        ("planning", "Ann Bell"),
        ("bookings", "Bo Li"),
        ("jsm", "John Smith"),
        # One letter tells nothing, and neither does what stands behind a plus sign.
        ("a", "Anna"),
        ("lli", "Li"),
        ("j.deals", "J Smith"),
        ("deals+anna", "Anna Example"),
        ("optimum", "Tim Burton"),
        ("x9", "Anna Example"),
        ("42", "Anna Example"),
        ("anna", "Анна Иванова"),
        # Whoever is named after a role shows nothing by it.
        ("sales", "sales"),
    ],
)
def test_a8_an_address_that_shows_nothing_of_the_name_is_noticed(local: str, name: str) -> None:
    assert not shows_its_user(f"{local}@example.com", name, "u17@example.org")


@pytest.mark.parametrize(
    ("address", "user_address"),
    [
        ("anna.ivanova@example.com", "a.ivanova@example.org"),
        ("jd84@example.com", "jd84@example.org"),
        ("anna+outreach@example.com", "anna@example.org"),
        # The own address shows its user, whatever it is.
        ("info@example.org", "info@example.org"),
    ],
)
def test_a8_the_users_own_address_tells_the_name_too(address: str, user_address: str) -> None:
    assert shows_its_user(address, "Анна", user_address)


def test_a8_what_the_users_own_address_has_behind_a_plus_sign_tells_nothing() -> None:
    assert not shows_its_user("anna@example.com", "Анна", "u17+anna@example.org")
