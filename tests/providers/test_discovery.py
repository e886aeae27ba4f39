"""Finding the servers of an address (B1)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import Endpoint, ServerGuess, Timeouts
from mailrotate.core.values.states import Security
from mailrotate.providers import discovery
from mailrotate.providers.discovery import find_servers, parse_endpoint, says_security, servers_of
from mailrotate.providers.registry import provider_for


def no_exchangers(domain: str) -> Sequence[str]:
    return ()


def no_document(url: str) -> bytes | None:
    return None


def not_asked(what: str) -> NoReturn:
    raise AssertionError(f"{what} was asked for")


def documents(found: Mapping[str, bytes]) -> Callable[[str], bytes | None]:
    return found.get


def autoconfig(
    *,
    imap: str = "<hostname>imap.firm.example</hostname><port>993</port><socketType>SSL</socketType>",
    smtp: str = "<hostname>smtp.firm.example</hostname><port>587</port><socketType>STARTTLS</socketType>",
    username: str = "%EMAILADDRESS%",
    before: str = "",
) -> bytes:
    rest = f"<username>{username}</username><authentication>password-cleartext</authentication>"
    return f"""<?xml version="1.0"?>{before}
    <clientConfig version="1.1"><emailProvider id="firm.example">
      <incomingServer type="pop3"><hostname>pop.firm.example</hostname><port>995</port>
        <socketType>SSL</socketType>{rest}</incomingServer>
      <incomingServer type="imap">{imap}{rest}</incomingServer>
      <outgoingServer type="smtp">{smtp}{rest}</outgoingServer>
    </emailProvider></clientConfig>""".encode()


WELL_KNOWN = "https://firm.example/.well-known/autoconfig/mail/config-v1.1.xml"


@pytest.mark.parametrize(
    ("address", "provider", "smtp", "imap"),
    [
        ("a@gmail.com", "google", "smtp.gmail.com", "imap.gmail.com"),
        ("a@googlemail.com", "google", "smtp.gmail.com", "imap.gmail.com"),
        ("a@Outlook.com", "microsoft", "smtp-mail.outlook.com", "outlook.office365.com"),
        ("a@hotmail.com", "microsoft", "smtp-mail.outlook.com", "outlook.office365.com"),
        ("a@me.com", "icloud", "smtp.mail.me.com", "imap.mail.me.com"),
        ("a@fastmail.com", "fastmail", "smtp.fastmail.com", "imap.fastmail.com"),
        ("a@yahoo.com", "yahoo", "smtp.mail.yahoo.com", "imap.mail.yahoo.com"),
        ("a@gmx.de", "gmx", "mail.gmx.net", "imap.gmx.net"),
        ("a@web.de", "web.de", "smtp.web.de", "imap.web.de"),
        ("a@mailbox.org", "mailbox.org", "smtp.mailbox.org", "imap.mailbox.org"),
        ("a@posteo.de", "posteo", "posteo.de", "posteo.de"),
        ("a@zoho.eu", "zoho", "smtp.zoho.eu", "imap.zoho.eu"),
    ],
)
def test_b1_the_big_providers_are_known_without_asking_anybody(
    address: str, provider: str, smtp: str, imap: str
) -> None:
    guess = find_servers(address, not_asked, not_asked)
    assert (guess.provider, guess.smtp.host, guess.imap.host) == (provider, smtp, imap)
    assert (guess.source, guess.username) == ("table", None)


@pytest.mark.parametrize(
    ("exchanger", "provider", "smtp"),
    [
        ("aspmx.l.google.com", "google", "smtp.gmail.com"),
        ("SMTP.GOOGLE.COM.", "google", "smtp.gmail.com"),
        ("firm-example.mail.protection.outlook.com", "microsoft", "smtp.office365.com"),
        ("firm-example.o-v1.mx.microsoft", "microsoft", "smtp.office365.com"),
        ("mx.zoho.eu", "zoho", "smtppro.zoho.eu"),
        ("in1-smtp.messagingengine.com", "fastmail", "smtp.fastmail.com"),
        ("mx01.mail.icloud.com", "icloud", "smtp.mail.me.com"),
    ],
)
def test_b1_a_hosted_domain_is_known_by_its_mail_exchanger(exchanger: str, provider: str, smtp: str) -> None:
    guess = find_servers("a@firm.example", lambda domain: [exchanger], not_asked)
    assert (guess.provider, guess.smtp.host, guess.source) == (provider, smtp, "mx")


def test_b1_the_preferred_exchanger_decides_and_a_likeness_does_not() -> None:
    guess = find_servers("a@firm.example", lambda domain: ["mx.zoho.eu", "smtp.google.com"], no_document)
    assert guess.provider == "zoho"
    with pytest.raises(NotFound):
        find_servers(
            "a@firm.example", lambda domain: ["evilgoogle.com", "google.com.evil.example"], no_document
        )


@pytest.mark.parametrize("entry", discovery._table(), ids=lambda entry: str(entry["smtp"]))
def test_i2_every_entry_of_the_table_is_served_over_tls_and_names_its_source(entry: dict[str, str]) -> None:
    for server in (entry["smtp"], entry["imap"]):
        assert parse_endpoint(server).security in (Security.TLS, Security.STARTTLS)
    assert entry["source"].startswith("https://")
    assert entry["domains"] or entry["mx"]
    provider_for(entry["provider"], Timeouts())


@pytest.mark.parametrize("url", ["https://autoconfig.firm.example/mail/config-v1.1.xml", WELL_KNOWN])
def test_b1_a_domain_that_describes_itself_is_believed(url: str) -> None:
    guess = find_servers("pia@firm.example", no_exchangers, documents({url: autoconfig()}))
    assert guess == ServerGuess(
        "imap",
        Endpoint("smtp.firm.example", 587, Security.STARTTLS),
        Endpoint("imap.firm.example", 993, Security.TLS),
        "autoconfig",
    )


def test_b1_autoconfig_may_name_another_user_name_and_the_domain_in_hosts() -> None:
    document = autoconfig(
        imap="<hostname>imap.%EMAILDOMAIN%</hostname><port>993</port><socketType>SSL</socketType>",
        username="%EMAILLOCALPART%",
    )
    guess = find_servers("pia@firm.example", no_exchangers, documents({WELL_KNOWN: document}))
    assert (guess.imap.host, guess.username) == ("imap.firm.example", "pia")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>not found</html>",
        b"\x00\xff nonsense",
        autoconfig(imap="<hostname>i.firm.example</hostname><port>143</port><socketType>plain</socketType>"),
        autoconfig(smtp="<hostname>s.firm.example</hostname><port>25</port><socketType></socketType>"),
        autoconfig(imap="<hostname>-x y</hostname><port>993</port><socketType>SSL</socketType>"),
        autoconfig(imap="<hostname>i.firm.example</hostname><port>99999</port><socketType>SSL</socketType>"),
        autoconfig(before=BOMB, username="&b;"),
        autoconfig(before=FILE, username="&a;"),
        autoconfig(before=BOMB).decode().encode("utf-16"),
        autoconfig().replace(b"password-cleartext", b"OAuth2"),
        autoconfig(username="pia&#13;&#10;A1 DELETE INBOX"),
    ],
    ids=[
        "empty", "page", "nonsense", "plain imap", "plain smtp", "bad host", "bad port", "bomb", "file",
        "bomb in UTF-16", "no password", "two lines as a name",
    ],
)  # fmt: skip
def test_i2_i3_a_document_that_is_no_safe_description_is_passed_over(document: bytes) -> None:
    with pytest.raises(NotFound):
        find_servers("pia@firm.example", no_exchangers, documents({WELL_KNOWN: document}))


def test_b1_an_unknown_domain_says_which_command_names_the_servers() -> None:
    asked = []

    def fetch(url: str) -> bytes | None:
        asked.append(url)
        return None

    with pytest.raises(NotFound) as caught:
        find_servers("pia@firm.example", no_exchangers, fetch)
    assert caught.value.code == "servers.unknown"
    assert caught.value.hint == Command(
        "mailbox", "connect", "pia@firm.example", "--smtp", "HOST:PORT", "--imap", "HOST:PORT"
    )
    assert all(url.startswith("https://") for url in asked)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail.example.org:465", Endpoint("mail.example.org", 465, Security.TLS)),
        ("mail.example.org:993", Endpoint("mail.example.org", 993, Security.TLS)),
        (" mail.example.org:587 ", Endpoint("mail.example.org", 587, Security.STARTTLS)),
        ("mail.example.org:143", Endpoint("mail.example.org", 143, Security.STARTTLS)),
        ("127.0.0.1:25", Endpoint("127.0.0.1", 25, Security.STARTTLS)),
        ("localhost:2525", Endpoint("localhost", 2525, Security.TLS)),
        ("[::1]:993", Endpoint("::1", 993, Security.TLS)),
    ],
)
def test_b1_an_endpoint_is_host_and_port_and_the_port_says_the_security(
    text: str, expected: Endpoint
) -> None:
    assert parse_endpoint(text) == expected
    assert parse_endpoint(text, Security.NONE).security is Security.NONE


def test_b7_only_a_port_known_for_one_security_says_it() -> None:
    assert [port for port in (25, 143, 465, 587, 993, 1025, 2525) if says_security(port)] == [
        25, 143, 465, 587, 993,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "mail.example.org", "mail.example.org:", ":993", "mail.example.org:0", "mail.example.org:65536",
     "mail.example.org:imap", "::1:993", "2001:db8::1", "[mail]:993", "a b:993", "imaps://mail.example.org:993",
     "mail.example.org:٩٩٣", "user@mail.example.org:993"],
)  # fmt: skip
def test_b1_what_is_no_endpoint_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_endpoint(text)
    assert caught.value.code == "server.invalid"
    assert f"'{text}'" in caught.value.message


@given(st.text(max_size=40))
def test_b1_any_text_is_an_endpoint_or_refused(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except BadInput:
        return
    assert endpoint.host
    assert 0 < endpoint.port < 65536
    assert not set(endpoint.host) & set(" \r\n@/")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_i3_any_document_is_read_or_passed_over(document: bytes) -> None:
    with pytest.raises(NotFound):
        find_servers("pia@firm.example", no_exchangers, lambda url: document)


@pytest.mark.parametrize(
    ("provider", "address", "smtp"),
    [
        ("google", "pia@firm.example", "smtp.gmail.com"),
        ("microsoft", "pia@firm.example", "smtp.office365.com"),
        ("microsoft", "pia@outlook.com", "smtp-mail.outlook.com"),
        ("zoho", "pia@firm.example", "smtppro.zoho.com"),
        ("zoho", "pia@zoho.eu", "smtp.zoho.eu"),
        ("imap", "pia@gmail.com", None),
    ],
)
def test_b1_a_provider_that_was_named_tells_its_servers(
    provider: str, address: str, smtp: str | None
) -> None:
    guess = servers_of(provider, address)
    assert (guess and guess.smtp.host) == smtp
