"""What servers' answers mean: whom they concern and for how long (F4)."""

import itertools
import tomllib
from datetime import timedelta
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.cli.hints import in_words
from mailrotate.core.rules.replies import classify, parse_reply, rules
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import Phase, ReplyClass, Who
from tests.support.answers import published

BEFORE_MAIL = (Phase.RESOLVE, Phase.CONNECT, Phase.TLS, Phase.EHLO, Phase.AUTH, Phase.PERMISSION)

SEEN = [
    # the path
    ("connect", "421 Service not available", "net"),
    ("connect", "421 4.3.0 Temporary System Problem", "net"),
    ("connect", "554 5.7.1 Blocked, see https://blocklist.example", "net"),
    ("ehlo", "550 5.1.1 No such user", "net"),
    ("ehlo", "452 4.2.2 Over quota", "net"),
    ("tls", "certificate verify failed: Hostname mismatch", "net"),
    ("tls", "454 4.7.0 TLS not available", "net"),
    ("resolve", "no address for smtp.example.org", "net"),
    ("connect", "Connection refused", "net"),
    ("connect", "421 4.7.0 Try again later, closing connection. x12-gsmtp", "limit"),
    # the system, for now
    ("rcpt", "450 4.7.1 Recipient address rejected: Policy Service is unavailable", "retry"),
    ("mail", "421 4.3.0 Temporary System Problem. Try again later", "retry"),
    ("rcpt", "421 4.4.5 Server busy, try again later.", "retry"),
    ("data", "421 4.7.0 Temporary System Problem. Try again later", "retry"),
    ("auth", "421 4.7.0 Temporary System Problem. Try again later", "retry"),
    ("data", "451 4.4.2 Timeout - closing connection.", "retry"),
    ("dot", "451 4.3.0 Mail server temporarily rejected message.", "retry"),
    # the login
    ("auth", "454 4.7.0 Temporary authentication failure", "limit"),
    ("auth", "454 4.7.0 Too many login attempts, please try again later.", "limit"),
    ("auth", "550 5.7.0 Too many failed login attempts", "limit"),
    ("auth", "535 5.7.8 Username and Password not accepted", "auth"),
    ("auth", "535-5.7.8 Username and Password not accepted.\n535 5.7.8 See the help", "auth"),
    ("auth", "534 5.7.9 Application-specific password required", "auth"),
    ("auth", "534 5.7.14 <https://accounts.example/signin> Please log in with your web browser", "auth"),
    ("auth", "535 5.7.3 Authentication unsuccessful", "auth"),
    ("auth", "454 4.7.0 invalid username or password", "auth"),
    ("auth", "535 5.7.139 Failed, SmtpClientAuthentication is disabled for the Tenant", "auth"),
    ("auth", "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria", "auth"),
    ("auth", "550 5.7.30 Basic authentication is not supported for Client Submission.", "auth"),
    ("mail", "550 5.7.30 Basic authentication is not supported for Client Submission.", "auth"),
    ("dot", "550 5.7.30 This mail has been blocked because DKIM did not pass.", "sender"),
    ("auth", "535 Incorrect authentication data", "auth"),
    ("auth", "432 4.7.12 A password transition is needed", "auth"),
    ("auth", "invalid_grant: AADSTS700082: The refresh token has expired", "auth"),
    ("connect", "the token endpoint answered 503: try again later", "net"),
    ("permission", "550 5.7.1 Not allowed", "auth"),
    ("permission", "NO [NOPERM] You may not", "retry"),
    ("permission", "the connection broke: no answer in time", "net"),
    ("auth", "Connection unexpectedly closed", "net"),
    ("auth", "no answer in time", "net"),
    ("permission", "no answer in time", "net"),
    ("auth", "the connection broke: no answer in time", "net"),
    # the sender, refused where the recipient is named, with no status that says so
    ("rcpt", "550 authentication required", "sender"),
    ("rcpt", "550 Please authenticate first", "sender"),
    ("rcpt", "550 must issue a STARTTLS command first", "sender"),
    ("rcpt", "550 Sender verify failed", "sender"),
    ("rcpt", "550 5.7.1 Sender rejected", "sender"),
    ("rcpt", "550 SPF check failed", "sender"),
    ("rcpt", "550 Sending limit exceeded", "limit"),
    ("rcpt", "554 You have exceeded your hourly sending quota", "limit"),
    ("rcpt", "550 You have reached your daily limit", "limit"),
    ("rcpt", "552 the recipient's quota is exceeded", "soft"),
    ("rcpt", "550 mailbox unavailable", "hard"),
    # the sender's right to send
    ("mail", "530 5.7.57 Client not authenticated to send mail", "retry"),
    ("mail", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "sender"),
    ("dot", "554 5.2.252 SendAsDenied; a@example.org not allowed to send as b@example.org", "sender"),
    ("mail", "530 5.7.0 Authentication Required", "auth"),
    ("rcpt", "554 5.7.1 <x@example.net>: Relay access denied", "sender"),
    ("rcpt", "553 5.7.1 <a@example.org>: Sender address rejected: not owned by user b", "sender"),
    # limits
    ("mail", "550 5.4.5 Daily user sending limit exceeded.", "limit"),
    ("data", "550 5.4.5 Daily user sending limit exceeded.", "limit"),
    ("dot", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed", "limit"),
    ("dot", "550 5.1.90 Your message can't be sent because you've reached your daily limit", "limit"),
    ("dot", "550 5.2.2 Submission quota exceeded", "limit"),
    ("dot", "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException", "sender"),
    ("mail", "432 4.3.2 Concurrent connections limit exceeded", "limit"),
    ("dot", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "limit"),
    ("dot", "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", "soft"),
    ("dot", "550 5.7.232 Your message can't be sent because your tenant exceeded its limit", "limit"),
    ("rcpt", "550 5.7.233 Your trial tenant exceeded its daily limit", "limit"),
    ("mail", "550 5.7.705 Access denied, tenant has exceeded threshold", "limit"),
    ("connect", "550 5.7.708 Access denied, traffic not accepted from this IP", "limit"),
    # the sender is banned
    ("mail", "550 5.1.8 Access denied, bad outbound sender", "sender"),
    ("rcpt", "550 5.7.501 Access denied, spam abuse detected", "sender"),
    ("dot", "550 5.7.502 Access denied, banned sender", "sender"),
    ("auth", "550 5.7.503 Access denied, banned sender", "sender"),
    # the recipient, for ever
    ("rcpt", "550 5.1.1 The email account that you tried to reach does not exist", "hard"),
    ("rcpt", "550 5.1.10 Recipient not found", "hard"),
    ("rcpt", "551 5.1.6 Recipient has moved", "hard"),
    ("rcpt", "550 5.2.1 The email account that you tried to reach is disabled", "hard"),
    ("rcpt", "550 5.4.4 Invalid domain name", "hard"),
    ("rcpt", "550 5.1.2 Bad destination system address", "hard"),
    ("rcpt", "556 5.1.10 Domain does not accept mail", "hard"),
    ("rcpt", "556 Domain does not accept mail", "hard"),
    ("dot", "550-5.1.1 The account does not exist.\n550 5.1.1 Check it", "hard"),
    ("rcpt", "550 User unknown", "hard"),
    ("dot", "550 5.5.0 Requested action not taken: mailbox unavailable", "hard"),
    ("dot", "550 5.7.133 Sender not authenticated for group", "soft"),
    # the recipient, for now
    ("rcpt", "450 4.2.1 The user you are trying to contact is receiving mail too quickly", "soft"),
    ("rcpt", "550 5.2.1 The user you are trying to contact is receiving mail at a rate that", "soft"),
    ("rcpt", "452 4.2.2 The email account that you tried to reach is over quota", "soft"),
    ("rcpt", "552 5.2.2 The email account that you tried to reach is over quota", "soft"),
    ("dot", "552 5.2.2 Mailbox is full", "soft"),
    ("rcpt", "450 4.2.0 Greylisted, see the help", "soft"),
    ("rcpt", "451 4.7.1 Please try again in five minutes", "soft"),
    ("dot", "451 4.7.1 Greylisting in action", "soft"),
    ("rcpt", "452 Mailbox full", "soft"),
    ("rcpt", "550 Not sent, as the inbox has no space left", "soft"),
    # the content
    ("dot", "552 5.3.4 Message exceeds fixed maximum message size", "message"),
    ("mail", "552 5.3.4 Message size exceeds fixed limit", "message"),
    ("dot", "552 5.2.3 Message too large", "message"),
    ("dot", "554 5.6.0 Invalid message content", "message"),
    ("dot", "550 5.6.7 Non-ASCII addresses not permitted", "message"),
    ("data", "501 5.5.4 Syntax error in parameters", "message"),
    ("data", "503 5.5.1 Bad sequence of commands", "message"),
    ("dot", "552-5.7.0 Its content presents a potential\n552 5.7.0 security issue", "message"),
    # the sender's reputation
    ("dot", "550 5.7.1 Our system has detected that this message is likely spam", "sender"),
    ("dot", "550 5.7.26 This mail is unauthenticated", "sender"),
    ("dot", "550 5.7.27 SPF did not pass", "sender"),
    ("dot", "421 4.7.28 Our system has detected an unusual rate of unsolicited mail", "limit"),
    ("dot", "421-4.7.0 Our system has detected an unusual rate of\n421-4.7.0 unsolicited mail", "limit"),
    ("dot", "550 5.7.28 Our system has detected an unusual rate of unsolicited mail", "sender"),
    ("dot", "550 5.7.515 Access denied, sending domain does not meet the required level", "sender"),
    ("rcpt", "550 5.7.606 Access denied, banned sending IP", "sender"),
    ("rcpt", "554 Client host blocked using a blocklist", "sender"),
    # whom it concerns, where an answer names both
    ("rcpt", "550 mx.no-such-user.example.com: not now", "soft"),
    ("rcpt", "550 See https://example.com/help/no-such-user", "soft"),
    ("rcpt", "550 5.1.1 user unknown or blocked: https://www.spamhaus.org/query/203.0.113.7", "sender"),
    ("rcpt", "550 5.1.1 Too many unknown users: 203.0.113.7 is blocked", "sender"),
    ("rcpt", "550 Sender verify failed: User unknown", "sender"),
    ("rcpt", "550-Verification failed for <a@b.c>\n550-User unknown\n550 Sender verify failed", "sender"),
    ("rcpt", "553 5.1.8 Domain of sender address does not exist", "sender"),
    ("rcpt", "550 5.1.2 Recipient domain does not exist", "hard"),
    ("rcpt", "550 The sending address is invalid", "sender"),
    ("rcpt", "550 You have been blocked by the recipient", "soft"),
    ("rcpt", "554 Relaying denied: no such user here", "sender"),
    ("rcpt", "550 Your account has been suspended", "sender"),
    ("rcpt", "550 The recipient's account has been suspended", "soft"),
    ("rcpt", "550 The account kim was closed", "hard"),
    ("rcpt", "552 Your sending quota is exceeded", "limit"),
    ("rcpt", "552 The mailbox quota is exceeded", "soft"),
    ("dot", "552 The message is bigger than the maximum size", "message"),
    ("dot", "552 The message is larger than the space left", "soft"),
    ("rcpt", "550 Greylisted, temporarily deferred", "soft"),
    ("rcpt", "556 The number of RCPTs is over size", "limit"),
    ("dot", "521 5.2.1 (CON:B1)", "sender"),
    ("rcpt", "553 RP:RDN 163 mx9", "sender"),
    ("dot", "554 Message rejected: Address is on the suppression list", "soft"),
    ("rcpt", "550 Cannot verify your address anna@example.org: no such user there", "sender"),
    ("rcpt", "550 5.1.1 Your account does not exist on this server", "sender"),
    ("rcpt", "550 5.1.1 Your account has been deactivated", "sender"),
    ("rcpt", "550 No such user. Please check your address and try again", "hard"),
    ("rcpt", "550 Client host name not found", "sender"),
    ("rcpt", "550 Directory harvest attack: your IP sends to nonexistent users", "sender"),
    ("rcpt", "550 The recipient is not accepting mail from unknown senders", "soft"),
    ("dot", "550 local delivery failed: command not found", "retry"),
    ("rcpt", "550 Access denied...3f786850e387550fdab836ed7e6dc881de23001b...", "sender"),
    ("rcpt", "550 You have sent more mail than is permitted", "limit"),
    ("rcpt", "550-Callout verification failed:\n550 550 5.1.1 No such user here", "hard"),
    ("rcpt", "550-Postmaster verification failed for a@b.org\n550 Response: 550 User unknown", "sender"),
    ("rcpt", "550 The user has sent more than 150 messages in the last hour", "limit"),
    ("rcpt", "550 The recipient has blocked messages from this sender", "soft"),
    ("rcpt", "550 Recipient does not accept mail from you (user blocklist)", "soft"),
    ("rcpt", "554 5.7.1 Policy rejection; Message count quota exceeded", "limit"),
    ("rcpt", "450 4.2.0 Recipient address rejected: temporarily deferred, retry in 5 minutes", "soft"),
    ("rcpt", "550 5.1.1 Failed recipient validation check: recipient verify from ldap failed", "hard"),
    ("rcpt", "550 Email sending is not configured for domain example.org", "sender"),
    ("dot", "550 发信频率超过限制", "limit"),
    ("dot", "551 Not authorised to send from this header address", "sender"),
    ("dot", "554 The return email domain is invalid", "sender"),
    ("dot", "550 Backscatter protection detected an expired email address", "sender"),
    ("dot", "550 Mail looks like spam or a virus", "sender"),
    ("dot", "550 The attachment has a virus", "message"),
    ("dot", "550 5.7.26 The DMARC policy of the recipient's server refuses the message", "sender"),
    ("rcpt", "550 5.7.10 Encryption needed", "sender"),
    # silence
    ("dot", "the connection was reset", "unknown"),
    ("dot", "timed out", "unknown"),
    ("dot", "", "unknown"),
    ("data", "timed out", "net"),
    ("rcpt", "Connection reset by peer", "net"),
    # IMAP
    ("auth", "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", "auth"),
    ("auth", "b'[AUTHENTICATIONFAILED] Authentication failed.'", "auth"),
    ("auth", "NO [EXPIRED] That password is no longer valid", "auth"),
    ("auth", "NO LOGIN failed.", "auth"),
    ("auth", "a1 NO Login denied", "auth"),
    ("auth", "BAD Error in IMAP command", "retry"),
    ("permission", "NO [UNAVAILABLE] Backend is down", "retry"),
    ("data", "5.3.4 the message is bigger than the server takes", "message"),
    ("auth", "BAD User is authenticated but not connected.", "retry"),
    ("auth", "NO LOGIN failed, try again later", "retry"),
    ("auth", "NO [ALERT] Your account is not enabled for IMAP use.", "auth"),
    ("auth", "NO [ALERT] Application-specific password required", "auth"),
    ("auth", "NO [ALERT] Too many simultaneous connections. (Failure)", "retry"),
    ("connect", "BYE [ALERT] Too many simultaneous connections", "retry"),
    ("auth", "NO [UNAVAILABLE] Temporary authentication failure.", "retry"),
    ("auth", "NO [OVERQUOTA] Account exceeded command or bandwidth limits.", "limit"),
    # nothing but a reply code
    ("mail", "451 Try later", "retry"),
    ("mail", "553 Not you", "sender"),
    ("rcpt", "450 Not now", "soft"),
    ("rcpt", "451 Not now", "soft"),
    ("rcpt", "452 Not now", "soft"),
    ("rcpt", "421 Closing", "retry"),
    ("rcpt", "550 No", "soft"),
    ("rcpt", "553 No", "soft"),
    ("rcpt", "554 No", "sender"),
    ("data", "451 Not now", "retry"),
    ("dot", "452 Not now", "retry"),
    ("dot", "550 No", "message"),
    ("dot", "552 No", "message"),
    ("dot", "554 No", "message"),
]  # fmt: skip


@pytest.mark.parametrize(("phase", "text", "expected"), SEEN)
def test_f4_each_answer_seen_is_classified(phase: str, text: str, expected: str) -> None:
    verdict = classify(parse_reply(text, Phase(phase)), "imap")
    assert verdict.reply_class == expected, verdict.rule
    assert any(isinstance(part, Command) for part in verdict.hint.parts)


@pytest.mark.parametrize(
    ("phase", "text", "hold_for", "who"),
    [
        ("connect", "421 4.7.0 Try again later", timedelta(minutes=5), Who.MAILBOX),
        ("auth", "454 4.7.0 Too many login attempts", timedelta(hours=1), Who.MAILBOX),
        ("auth", "454 Not now", timedelta(hours=1), Who.MAILBOX),
        ("mail", "550 5.4.5 Daily user sending limit exceeded.", timedelta(hours=24), Who.MAILBOX),
        ("dot", "550 5.1.90 Limit", timedelta(hours=24), Who.MAILBOX),
        ("mail", "432 4.3.2 Concurrent connections limit exceeded", timedelta(minutes=5), Who.MAILBOX),
        ("rcpt", "550 5.7.705 Tenant has exceeded threshold", timedelta(hours=24), Who.TENANT),
        ("rcpt", "550 5.1.1 No such user", None, Who.RECIPIENT),
        ("dot", "554 No", None, Who.MESSAGE),
        ("connect", "Connection refused", None, Who.NETWORK),
    ],
)
def test_f4_a_limit_says_whom_it_holds_and_for_how_long(
    phase: str, text: str, hold_for: timedelta | None, who: Who
) -> None:
    verdict = classify(parse_reply(text, Phase(phase)), "imap")
    assert (verdict.hold_for, verdict.who) == (hold_for, who)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("535 5.7.8 Username and Password not accepted", "mailbox reconnect ADDRESS"),
        ("534 5.7.9 Application-specific password required", "application password"),
        ("534 5.7.14 Please log in", "web browser"),
        ("535 5.7.139 SmtpClientAuthentication is disabled for the Mailbox", "administrator"),
        ("550 5.7.30 Basic authentication is not supported", "OAuth"),
    ],
)
def test_f4_each_refused_login_has_its_own_way_out(text: str, hint: str) -> None:
    assert hint in in_words(classify(parse_reply(text, Phase.AUTH), "imap").hint)


def test_f4_where_a_status_means_two_things_the_provider_decides() -> None:
    reply = parse_reply("550 5.7.30 No", Phase.MAIL)
    assert classify(reply, "microsoft").reply_class is ReplyClass.AUTH
    assert classify(reply, "google").reply_class is ReplyClass.SENDER


statuses = st.one_of(
    st.none(),
    st.builds("{}.{}.{}".format, st.sampled_from([4, 5]), st.integers(0, 7), st.integers(0, 999)),
)
words = st.one_of(st.text(max_size=60), st.sampled_from([text for _, text, _ in SEEN]))


@settings(max_examples=500)
@given(st.sampled_from(Phase), st.one_of(st.none(), st.integers(200, 599)), statuses, words)
def test_f4_before_mail_nothing_concerns_the_recipient(
    phase: Phase, code: int | None, enhanced: str | None, text: str
) -> None:
    verdict = classify(ServerReply(phase, code, enhanced, text), "google")
    if phase in BEFORE_MAIL:
        assert verdict.who is not Who.RECIPIENT
        assert verdict.reply_class not in (ReplyClass.SOFT, ReplyClass.HARD, ReplyClass.MESSAGE)
    assert (verdict.reply_class is ReplyClass.UNKNOWN) <= (phase is Phase.DOT)
    assert (verdict.reply_class is ReplyClass.LIMIT) == (verdict.hold_for is not None)


@pytest.mark.parametrize("code", [354, 250, 399])
def test_f3_nonsense_after_the_dot_leaves_the_fate_unknown(code: int) -> None:
    assert classify(ServerReply(Phase.DOT, code, None, "?"), "imap").reply_class is ReplyClass.UNKNOWN


def test_f4_every_phase_and_code_has_a_rule_and_every_rule_is_reached() -> None:
    for phase, code in itertools.product(Phase, [None, *range(200, 600)]):
        assert classify(ServerReply(phase, code, None, ""), "imap").hint.parts
    names = [rule.name for kind in rules().values() for rule in kind]
    assert len(names) == len(set(names))
    seen = [*((phase, text) for phase, text, _ in SEEN), *((one.phase, one.text) for one in published())]
    reached = {classify(parse_reply(text, Phase(phase)), "imap").rule for phase, text in seen}
    others = {
        classify(parse_reply(text, Phase(phase)), provider).rule
        for phase, text, provider in [
            ("mail", "550 5.7.30 No", "microsoft"),
            ("mail", "550 5.4.5 No", "google"),
            ("auth", "550 5.7.30 No", "microsoft"),
            ("auth", "534 5.7.9 No", "google"),
            ("auth", "534 5.7.14 No", "google"),
            ("auth", "454 Not now", "imap"),
            ("auth", "451 Not now", "imap"),
            ("mail", "535 No", "imap"),
            ("mail", "501 No", "imap"),
            ("mail", "503 No", "imap"),
            ("mail", "250 Yes", "imap"),
            ("dot", "354 Go on", "imap"),
            ("dot", "556 No", "imap"),
            ("mail", "550 5.1.7 No", "imap"),
            ("mail", "550 5.7.60 No", "microsoft"),
            ("rcpt", "550 5.4.1 Access denied", "microsoft"),
            ("rcpt", "451 4.7.5 No", "imap"),
            ("dot", "421 4.7.26 No", "google"),
            ("mail", "432 4.3.2 Slow", "microsoft"),
            ("dot", "550 5.1.90 No", "microsoft"),
            ("mail", "550 5.7.705 No", "microsoft"),
            ("rcpt", "550 5.7.124 No", "microsoft"),
            ("rcpt", "550 5.2.0 No", "imap"),
            ("dot", "550 5.4.6 No", "imap"),
            ("dot", "552 5.3.4 No", "imap"),
            ("dot", "451 4.3.0 No", "imap"),
            ("auth", "NO [WEBALERT https://x.example] Web login required.", "google"),
        ]
    }
    assert set(names) - reached - others == set()


def test_f4_rules_name_every_subject_of_the_words_and_no_other() -> None:
    words = files("mailrotate.core.rules").joinpath("reply_words.toml").read_text("utf-8")
    named = [frozenset().union(*rule.words, rule.no_words) for rule in rules()["smtp"]]
    assert frozenset().union(*named) == set(tomllib.loads(words))


def test_f4_rules_are_asked_words_first_then_status_then_code() -> None:
    ranks = [0 if rule.text or rule.words else 1 if rule.enhanced else 2 for rule in rules()["smtp"]]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("550 5.1.1 No such user", 550, "5.1.1"),
        ("550-5.1.1 No such\n550 5.1.1 user", 550, "5.1.1"),
        ("smtp; 550 5.1.1 <x@example.org>: unknown", 550, "5.1.1"),
        ("550 #5.1.0 Address rejected.", 550, "5.1.0"),
        ("550 5.7.139: No", 550, "5.7.139"),
        ("  421 4.7.0 Later", 421, "4.7.0"),
        ("5.2.2 Over quota", None, "5.2.2"),
        ("250", 250, None),
        ("550 No", 550, None),
        ("550 5.1.1.7 is an address", 550, None),
        ("5500 things", None, None),
        ("NO [AUTHENTICATIONFAILED]", None, None),
        ("", None, None),
    ],
)
def test_f4_an_answer_copied_from_a_log_is_taken_apart(
    text: str, code: int | None, enhanced: str | None
) -> None:
    assert parse_reply(text, Phase.RCPT) == ServerReply(Phase.RCPT, code, enhanced, text)


def test_f4_a_status_without_a_code_is_still_an_answer() -> None:
    verdict = classify(parse_reply("5.2.2 Over quota", Phase.RCPT), "imap")
    assert (verdict.reply_class, verdict.code, verdict.enhanced) == (ReplyClass.SOFT, None, "5.2.2")
    assert classify(parse_reply("5.1.1 No", Phase.RCPT), "imap").reply_class is ReplyClass.HARD
