"""The way to an SMTP server, and the login there."""

import base64
import ssl
from dataclasses import replace

import pytest

from mailrotate.core.rules.replies import classify
from mailrotate.core.values.credential import Password
from mailrotate.core.values.mail import MailAccount, MailTrouble
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Phase, ReplyClass, Security
from mailrotate.providers import smtp
from tests.providers.conftest import IMPATIENT, LETTER, TIMEOUTS, account_at, envelope, refusal, send
from tests.support.scripted_smtp import Move, ScriptedSmtp, answers, drips, hangs
from tests.support.tls import TlsAuthority

# --- the way to the server


def test_c1_a_name_without_address_fails_to_resolve() -> None:
    nowhere = replace(account_at(25), smtp=replace(account_at(25).smtp, host="nowhere.invalid"))
    said = refusal(lambda: smtp.open_session(nowhere, TIMEOUTS))
    assert (said.phase, said.text) == (
        Phase.RESOLVE,
        "nowhere.invalid has no address: Name or service not known",
    )


@pytest.mark.parametrize(
    ("host", "named"), [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost: 127.0.0.1")]
)
def test_c1_a_port_where_nobody_listens_fails_to_connect(host: str, named: str) -> None:
    with ScriptedSmtp() as server:
        port = server.port
    account = account_at(port)
    there = replace(account, smtp=replace(account.smtp, host=host))
    said = refusal(lambda: smtp.open_session(there, TIMEOUTS))
    assert said.phase is Phase.CONNECT
    # A name may have addresses of both families.
    assert said.text.replace("::1 port", "127.0.0.1 port").split("; ")[0] == (
        f"{named} port {port}: Connection refused"
    )


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
@pytest.mark.parametrize("flaw", ["other name", "expired", "unknown authority"])
def test_i2_a_certificate_that_proves_nothing_is_refused(
    flaw: str, security: Security, authority: TlsAuthority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = TlsAuthority(tmp_path_factory.mktemp("stranger"))
    contexts: dict[str, tuple[ssl.SSLContext, str]] = {
        "other name": (authority.server_context("mail.example.org"), "mismatch"),
        "expired": (authority.expired_context(), "expired"),
        "unknown authority": (stranger.server_context(), "certificate"),
    }
    context, reason = contexts[flaw]
    with ScriptedSmtp(security=security, tls=context) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port, security), TIMEOUTS))
    assert said.phase is Phase.TLS
    assert reason in said.text.lower()
    assert not any(command.upper().startswith("AUTH") for command in server.commands)


def test_i2_a_server_that_takes_starttls_out_gets_no_password() -> None:
    with ScriptedSmtp(security=Security.NONE) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port, Security.STARTTLS), TIMEOUTS))
    assert (said.phase, said.text) == (Phase.TLS, "the server does not offer STARTTLS")
    assert not any(command.upper().startswith("AUTH") for command in server.commands)


def test_i2_words_injected_before_tls_are_not_believed(authority: TlsAuthority) -> None:
    injected = answers("220 go ahead\r\n250-mail.example.org\r\n250 AUTH PLAIN")
    with ScriptedSmtp(
        {"starttls": injected}, security=Security.STARTTLS, tls=authority.server_context()
    ) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port, Security.STARTTLS), TIMEOUTS))
    assert said.phase is Phase.TLS
    assert not any(command.upper().startswith("AUTH") for command in server.commands)


def test_i2_without_tls_only_this_machine_is_spoken_to() -> None:
    account = account_at(25)
    # An address of RFC 5737; the network guard would fail the test if it were tried.
    away = replace(account, smtp=replace(account.smtp, host="192.0.2.1"))
    said = refusal(lambda: smtp.open_session(away, TIMEOUTS))
    assert said.phase is Phase.TLS
    assert "without TLS" in said.text


# --- the login


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_b1_a_password_in_any_letters_logs_in(method: str) -> None:
    with ScriptedSmtp(features=(f"AUTH {method}",)) as server:
        account = account_at(server.port, credential=Password(Secret("pässwörd €")))
        smtp.open_session(account, TIMEOUTS).close()
    given = base64.b64decode(server.commands[-2].rpartition(" ")[2])
    assert given.rpartition(b"\0")[2].decode() == "pässwörd €"


def test_c1_a_wrong_password_is_the_servers_refusal(account: MailAccount) -> None:
    said = refusal(
        lambda: smtp.open_session(replace(account, credential=Password(Secret("wrong"))), TIMEOUTS)
    )
    assert (said.phase, said.code, said.enhanced) == (Phase.AUTH, 535, "5.7.8")
    assert classify(said, "imap").reply_class is ReplyClass.AUTH


@pytest.mark.parametrize("reply", ["503 already", "250 fine", "334 dGVsbCBtZQ=="])
def test_c1_nothing_but_235_is_a_login(reply: str) -> None:
    with ScriptedSmtp({"auth": answers(reply)}) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port), TIMEOUTS))
    assert (said.phase, said.code) == (Phase.AUTH, int(reply[:3]))


@pytest.mark.parametrize(("features", "offered"), [((), "none"), (("AUTH GSSAPI NTLM",), "only GSSAPI NTLM")])
def test_c1_a_server_without_a_login_we_know_is_named(
    features: tuple[str, ...], offered: str, authority: TlsAuthority
) -> None:
    with ScriptedSmtp(features=features, security=Security.TLS, tls=authority.server_context()) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port, Security.TLS), TIMEOUTS))
    assert said.phase is Phase.AUTH
    assert said.text.endswith(f"offers {offered}")


def test_b1_a_relay_on_this_machine_may_ask_for_no_login() -> None:
    with ScriptedSmtp(features=()) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        send(session, envelope())
        session.close()
    assert server.taken == [LETTER]


@pytest.mark.parametrize("form", ["plain", "base64 of all", "base64 of the password", "hex", "percent"])
def test_i1_a_server_that_echoes_the_password_does_not_make_us_say_it(form: str) -> None:
    canary = "canary/4711+secret"
    echoed = {
        "plain": canary,
        "base64 of all": base64.b64encode(f"\0anna@example.org\0{canary}".encode()).decode(),
        "base64 of the password": base64.b64encode(canary.encode()).decode(),
        "hex": canary.encode().hex(),
        "percent": "canary%2F4711%2Bsecret",
    }[form]
    with ScriptedSmtp({"auth": answers(f"535 5.7.8 bad login {echoed} here")}) as server:
        account = account_at(server.port, credential=Password(Secret(canary)))
        with pytest.raises(MailTrouble) as caught:
            smtp.open_session(account, TIMEOUTS)
    shown = f"{caught.value!s} {caught.value!r} {caught.value.reply!r} {account!r}"
    assert echoed not in shown
    assert "4711" not in shown
    assert caught.value.reply.text.startswith("5.7.8 bad login [secret]")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("move", [hangs(), drips("250-x")])
def test_c1_connecting_ends_in_time_when_the_server_does_not_answer(move: Move) -> None:
    with ScriptedSmtp({"ehlo": move}) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port), IMPATIENT))
    assert said.text == "the server did not answer within 0.3 s"
