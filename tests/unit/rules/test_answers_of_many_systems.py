"""What published answers of many mail systems mean, and that nobody is suppressed on a code alone (F4)."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.core.rules.replies import ReplyVerdict, classify, parse_reply, plain
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import Phase, ReplyClass
from tests.support.answers import Answer, published, systems

# Statuses that say in themselves that the address or its domain is not there (RFC 3463, RFC 7505).
NOT_THERE = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.4.4", "5.4.310")


def _readings(answer: Answer) -> list[ReplyVerdict]:
    """As a person copies it from a log, and as the session reads it from the wire."""
    texts = dict.fromkeys((answer.text, answer.on_one_line))
    return [classify(parse_reply(text, Phase(answer.phase)), "imap") for text in texts]


@pytest.mark.parametrize("system", systems())
def test_f4_a_published_answer_means_what_its_source_says(system: str) -> None:
    wrong = [
        f"{answer.reply_class} read as {verdict.reply_class} by {verdict.rule}: {answer.text!r}"
        for answer in systems()[system]
        for verdict in _readings(answer)
        if verdict.reply_class != answer.reply_class
    ]
    assert not wrong, "\n".join(wrong)


def test_f4_an_answer_copied_from_a_log_means_what_it_means_on_the_wire() -> None:
    for answer in published():
        wire = classify(parse_reply(answer.on_one_line, Phase(answer.phase)), "imap")
        logged = (
            f"<kim@example.com>: host mx1.example.com[203.0.113.5] said: {answer.on_one_line}"
            " (in reply to RCPT TO command)"
        )
        verdict = classify(parse_reply(logged, Phase(answer.phase)), "imap")
        assert (verdict.rule, verdict.code) == (wire.rule, wire.code), logged


def test_f4_an_answer_beyond_the_rules_suppresses_nobody() -> None:
    answers = published("beyond")
    assert len(answers) <= len(published()) / 20
    for answer in answers:
        classes = {verdict.reply_class for verdict in _readings(answer)}
        assert ReplyClass.HARD not in classes, answer.text
        assert classes != {answer.reply_class}, f"move it to the answers: {answer.text}"


def test_the_answers_come_from_many_systems_and_no_two_are_alike() -> None:
    answers = published() + published("beyond")
    assert len(answers) >= 1400
    assert len(systems()) >= 190
    assert [text for text, count in Counter(answer.masked for answer in answers).items() if count > 1] == []
    for answer in answers:
        assert answer.source.startswith(("http://", "https://"))
        assert answer.reply_class in set(ReplyClass)
        assert answer.phase in set(Phase)


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA, Phase.DOT])
@pytest.mark.parametrize(
    "words", ["", "No", "Error", "Rejected", "Go away", "see https://example.com/no-such-user"]
)
def test_f4_no_code_alone_ends_a_recipient(phase: Phase, words: str) -> None:
    for code in range(400, 600):
        verdict = classify(ServerReply(phase, code, None, words), "imap")
        assert verdict.reply_class is not ReplyClass.HARD, verdict.rule


@settings(max_examples=300)
@given(
    st.sampled_from([Phase.RCPT, Phase.DATA, Phase.DOT]),
    st.integers(400, 599),
    st.builds("{}.{}.{}".format, st.sampled_from([4, 5]), st.integers(0, 7), st.integers(0, 40)),
)
def test_f4_only_a_status_that_says_so_ends_a_recipient_without_words(
    phase: Phase, code: int, status: str
) -> None:
    if classify(ServerReply(phase, code, status, status), "imap").reply_class is ReplyClass.HARD:
        assert status in NOT_THERE
        assert code >= 500


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DATA, Phase.DOT])
def test_f4_a_temporary_answer_ends_nobody_whatever_it_says(phase: Phase) -> None:
    for answer in published():
        if answer.reply_class == "hard":
            text = "450 " + answer.on_one_line[4:].replace("5.", "4.", 1)
            assert classify(parse_reply(text, phase), "imap").reply_class is not ReplyClass.HARD


def test_f4_words_about_the_sender_count_before_a_status_about_the_recipient() -> None:
    for words in (
        "has sent too many messages this hour",
        "sender rejected",
        "blocked using zen.spamhaus.org",
    ):
        for status in NOT_THERE:
            verdict = classify(parse_reply(f"550 {status} <kim@example.com>: {words}", Phase.RCPT), "imap")
            assert verdict.reply_class in (ReplyClass.LIMIT, ReplyClass.SENDER)


# Each speaks of a recipient and of something that is missing, unknown or invalid: of something else.
NOT_HARD = [
    ("rcpt", "500 5.5.1 Command unrecognized: RCPT TO:<kim@example.com>"),
    ("rcpt", "501 Syntax error in parameters or arguments to RCPT TO"),
    ("rcpt", "535 Invalid user or password"),
    ("rcpt", "550 5.1.1 Mailbox full"),
    ("rcpt", "550 5.2.1 User account is inactive for 12 months"),
    ("rcpt", "550 5.1.1 recipient limit exceeded"),
    ("rcpt", "550 5.1.1 sender not allowed"),
    ("rcpt", "550 5.1.2 Greylisted"),
    ("rcpt", "550 Account not found, please log in first"),
    ("rcpt", "550 Cannot find MX of anna@example.org"),
    ("rcpt", "550 Envelope sender address unknown"),
    ("rcpt", "550 Invalid certificate for recipient domain"),
    ("rcpt", "550 LDAP lookup of the user failed"),
    ("rcpt", "550 Mail for this user is not accepted here"),
    ("rcpt", "550 Mailbox is busy"),
    ("rcpt", "550 Mailbox over quota, account closed for new mail"),
    ("rcpt", "550 Mailbox unavailable due to maintenance"),
    ("rcpt", "550 Recipient address rejected: wrong TLS version"),
    ("rcpt", "550 Recipient unavailable at this time"),
    ("rcpt", "550 Recipient verification server not available"),
    ("rcpt", "550 Return path: user unknown"),
    ("rcpt", "550 The recipient does not have a valid certificate"),
    ("rcpt", "550 Unknown client: your host is not registered"),
    ("rcpt", "550 Unknown error while verifying user"),
    ("rcpt", "550 Unregistered IP, mail to this address refused"),
    ("rcpt", "550 User has not been active, temporarily closed"),
    ("rcpt", "550 User is not a member of the group"),
    ("rcpt", "550 You are not a valid user of this relay"),
    ("rcpt", "550 Your domain does not exist in DNS"),
    ("dot", "550 Domain example.org does not exist"),
    ("dot", "550 Invalid address in From header"),
    ("dot", "550 Mail not delivered to user"),
    ("dot", "550 Message-ID not found in message to recipient"),
    ("dot", "550 Reply-To address does not exist"),
    ("dot", "554 Your message to the recipient was deleted by a filter"),
]


@pytest.mark.parametrize(("phase", "text"), NOT_HARD)
def test_f4_something_else_that_is_missing_ends_no_recipient(phase: str, text: str) -> None:
    verdict = classify(parse_reply(text, Phase(phase)), "imap")
    assert verdict.reply_class is not ReplyClass.HARD, verdict.rule


@pytest.mark.parametrize(
    "words",
    [
        "The mailbox is full of old mail",
        "There is no space in the inbox",
        "Exceeded: the storage of this user",
        "Su buzon esta lleno",
    ],
)
def test_f4_a_sentence_is_read_in_any_order_and_language(words: str) -> None:
    assert classify(parse_reply(f"550 {words}", Phase.RCPT), "imap").reply_class is ReplyClass.SOFT


# Ours: what servers of many countries would say, by the class that it means.
LANGUAGES = {
    "hard": [
        "550 Der Empfänger ist auf diesem Server nicht bekannt",
        "550 5.1.1 Diese E-Mail-Adresse existiert nicht mehr",
        "550 L'adresse du destinataire n'existe pas",
        "550 Utilisateur introuvable",
        "550 El usuario no existe",
        "550 La dirección de correo no ha sido encontrada",
        "550 Usuário desconhecido neste servidor",
        "550 Endereço de e-mail inexistente",
        "550 L'utente non esiste",
        "550 Indirizzo email non trovato",
        "550 Nie ma takiego użytkownika",
        "550 Adres odbiorcy nie istnieje",
        "550 Такого пользователя не существует",
        "550 Получатель не найден",
        "550 用户不存在",
        "550 收件人地址不存在",
        "550 宛先のユーザーが見つかりません",
        "550 該当するメールアドレスは存在しません",
        "550 Böyle bir kullanıcı yok",
        "550 Gebruiker bestaat niet",
        "550 Mottagaren finns inte",
        "550 Uživatel neexistuje",
        "550 존재하지 않는 사용자입니다",
    ],
    "soft": [
        "552 Das Postfach des Empfängers ist voll",
        "550 Dieses Konto wurde gesperrt",
        "552 La boîte aux lettres est pleine",
        "552 El buzón está lleno",
        "550 La cuenta está suspendida",
        "552 A caixa postal está cheia",
        "552 La casella è piena",
        "552 Skrzynka odbiorcy jest pełna",
        "552 Почтовый ящик переполнен",
        "550 Почтовый ящик временно заблокирован",
        "552 收件人邮箱已满",
        "552 メールボックスがいっぱいです",
        "552 Alıcının posta kutusu dolu",
        "552 Postvak van de ontvanger is vol",
        "552 Mottagarens brevlåda är full",
        "552 Schránka je plná",
        "552 메일함이 가득 찼습니다",
    ],
    "limit": [
        "450 Sie haben zu viele Nachrichten in kurzer Zeit gesendet",
        "421 Vous avez dépassé la limite d'envoi par heure",
        "550 Ha excedido el límite de mensajes por hora",
        "550 Você excedeu o limite de envio de mensagens por hora",
        "550 Superato il limite orario di invio messaggi",
        "450 Przekroczono limit wysyłanych wiadomości",
        "450 Превышен лимит отправки писем",
        "450 发送频率过高，请稍后再试",
        "450 送信数の制限を超えました",
        "450 Saatlik gönderim limitini aştınız",
        "450 U heeft te veel berichten verzonden",
        "450 Překročen limit odeslaných zpráv",
    ],
    "sender": [
        "554 Ihre IP-Adresse steht auf einer schwarzen Liste",
        "550 Absender abgelehnt",
        "550 Expéditeur refusé: domaine inexistant",
        "554 Votre serveur est sur liste noire",
        "554 Su IP está en una lista negra",
        "550 Remitente rechazado",
        "554 Seu IP está bloqueado por envio de spam",
        "554 Il tuo IP è presente in una lista nera",
        "550 Mittente non autorizzato",
        "554 Adres IP nadawcy znajduje się na czarnej liście",
        "554 Ваш IP-адрес находится в черном списке",
        "550 Отправитель заблокирован за рассылку спама",
        "554 您的IP被列入黑名单",
        "550 发件人被拒绝",
        "554 迷惑メールとして拒否されました",
        "554 IP adresiniz kara listede",
        "554 Uw IP-adres staat op een zwarte lijst",
        "554 Din IP-adress är svartlistad",
        "554 Vaše IP adresa je na černé listině",
        "554 스팸으로 차단되었습니다",
    ],
    "retry": [
        "451 Vorübergehender Fehler, bitte versuchen Sie es später erneut",
        "451 Erreur temporaire, veuillez réessayer plus tard",
        "451 Error temporal, inténtelo más tarde",
        "451 Falha temporária, tente novamente mais tarde",
        "451 Errore temporaneo, riprovare più tardi",
        "451 Błąd tymczasowy, spróbuj ponownie później",
        "451 Временная ошибка, повторите попытку позже",
        "451 一時的なエラーです。しばらくしてから再送してください",
    ],
    "message": [
        "552 Le message est trop volumineux",
        "552 邮件太大",
    ],
}


@pytest.mark.parametrize("meaning", LANGUAGES)
def test_f4_a_plain_sentence_is_read_in_many_languages(meaning: str) -> None:
    verdicts = [(text, classify(parse_reply(text, Phase.RCPT), "imap")) for text in LANGUAGES[meaning]]
    assert [(text, found.rule) for text, found in verdicts if found.reply_class != meaning] == []


def test_f4_words_of_two_sentences_are_not_read_as_one() -> None:
    together = "550 The recipient is unknown to this server"
    apart = "550 The recipient was told. Something unknown happened"
    assert classify(parse_reply(together, Phase.RCPT), "imap").reply_class is ReplyClass.HARD
    assert classify(parse_reply(apart, Phase.RCPT), "imap").reply_class is ReplyClass.SOFT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("550-5.1.1 No such\n550 5.1.1 user", "No such user"),
        ("550 5.1.1 No such 5.1.1 user", "No such user"),
        ("421-4.7.28 an unusual 421-4.7.28 rate", "an unusual rate"),
        ("550 <no-such-user@example.com>: no", "<address>: no"),
        ("550 see https://example.com/?p=NoSuchUser now", "see now"),
        ("550 Boîte pleine; żółw, Straße", "Boite pleine; zolw, Strasse"),
        ("550 sorry (#5.1.1)", "sorry"),
        ("550 host 203.0.113.7 said no", "host 203.0.113.7 said no"),
        ("550 mx.no-such-user.example.com said no", "name said no"),
        ("550 see https://spamhaus.org/query/203.0.113.7", "see blocklist"),
        ("550 203.0.113.7 is in zen.spamhaus.org", "203.0.113.7 is in blocklist"),
        ("522_mailbox_full;size 9", "522 mailbox full;size 9"),
    ],
)
def test_f4_the_words_of_an_answer_are_taken_without_numbers_links_hosts_and_accents(
    text: str, words: str
) -> None:
    assert plain(text) == words
