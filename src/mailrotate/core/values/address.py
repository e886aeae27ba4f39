"""E-mail addresses: what counts as one, and when two are the same."""

import re

from mailrotate.core.values.errors import BadInput

# The addresses that nearly all mail goes to; whatever does not match, or is longer, takes the slow, exact
# path. Possessive, because every part can only end where the next begins. Special-use names (RFC 6761 and
# friends) are never a mail domain: the exact check refuses them.
_PLAIN = re.compile(
    r"[A-Za-z0-9_+-][A-Za-z0-9_+'-]*+(?:\.[A-Za-z0-9_+'-]++)*+"
    r"@(?:[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+\.)++"
    r"(?!(?i:test|local|localhost|invalid|arpa|onion)\Z)[A-Za-z]{2,24}"
)
# RFC 5321 4.5.3.1 (local part up to 64 octets) and RFC 1035 2.3.4 (label up to 63) cannot be exceeded within.
_PLAIN_LENGTH = 64


def normalise_address(text: str) -> str:
    """The form in which addresses are stored and compared: lower case, IDN domains in ASCII.

    Raises BadInput (`address.invalid`) with the reason.
    """
    candidate = text.strip()
    if len(candidate) <= _PLAIN_LENGTH and _PLAIN.fullmatch(candidate):
        return candidate.lower()
    return _normalise_exactly(candidate)


def _normalise_exactly(candidate: str) -> str:
    # Imported here: most addresses never need it, and it costs start-up time.
    from email_validator import EmailNotValidError, validate_email

    try:
        # `strict` for the local part's 64 octets. Other letters than ASCII before the @ need SMTPUTF8
        # (RFC 6531) at every server on the way: better refused here than three times at the claim.
        valid = validate_email(candidate, check_deliverability=False, strict=True, allow_smtputf8=False)
    except EmailNotValidError as problem:
        says = f"'{candidate[:80]}' is not an e-mail address: {problem}"
        raise BadInput("address.invalid", says if candidate else "the address is empty") from None
    return f"{valid.local_part}@{valid.ascii_domain}".lower()


def guessed_name(address: str) -> str:
    """What a person is called as long as only their address is known."""
    return address.partition("@")[0]


def name_for(address: str, user_name: str, user_email: str) -> str:
    """The user's name; while that is only a guess from their address, the guess from this mailbox's."""
    return guessed_name(address) if user_name == guessed_name(user_email) else user_name


def domain_of(address: str) -> str:
    """The part after the last `@`, in lower case."""
    return address.rpartition("@")[2].lower()


# Google: dots in a Gmail address do not matter, and what follows a plus sign is dropped; both names are one
# domain (support.google.com/mail/answer/7436150 and /answer/22370). Of customers' own domains no such
# thing is said.
_GMAIL = ("gmail.com", "googlemail.com")


def canonical_address(address: str) -> str:
    """The form in which two spellings of one mailbox are equal (A9); of a normalised address."""
    local, _, domain = address.rpartition("@")
    if domain in _GMAIL:
        return f"{local.partition('+')[0].replace('.', '')}@{_GMAIL[0]}"
    return address


def canonical_domain(domain: str) -> str:
    """The form in which two names of one domain are equal; of a normalised domain."""
    return _GMAIL[0] if domain in _GMAIL else domain


def domain_and_parents(domain: str) -> list[str]:
    """A domain and those above it, itself first: a suppressed domain covers what is below it."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]
