"""How a database is named: a path, or a PostgreSQL URL."""

import re

from mailrotate.core.values.errors import BadInput

_POSTGRESQL = ("postgresql://", "postgres://")
# The beginning of a name that is not a path: a scheme (also in capitals, with a driver, or with one slash too
# few), a login without a scheme, or a keyword of libpq.
_NOT_A_PATH = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9+.-]*:/{1,2}|[^/\s:@]+:(?=[^/\s@]+@)"
    r"|(?:host|hostaddr|port|dbname|user|password|passfile|service)\s*=)"
)


def is_postgresql(name: str) -> bool:
    """Whether the name is a PostgreSQL URL; otherwise it is a path."""
    return name.startswith(_POSTGRESQL)


def refuse_scheme(name: str) -> None:
    """Raise BadInput (`db.scheme`) for a name that is neither a path nor the URL of a PostgreSQL database.

    The message shows only its beginning, because the rest may contain a password.
    """
    beginning = _NOT_A_PATH.match(name)
    if beginning is not None and not is_postgresql(name):
        raise BadInput(
            "db.scheme",
            f"'{beginning[1]}…' is not a database that mailrotate can use",
            "name a file, or postgresql://HOST/DATABASE",
        )


def refuse_password(flag: str) -> None:
    """Raise BadInput (`db.password`) for a URL with a password, which the process list would show."""
    if is_postgresql(flag) and _has_password(flag):
        raise BadInput(
            "db.password",
            "--db must not contain a password: it would show in the process list",
            "put it into MAILROTATE_DB_PASSWORD or PostgreSQL's password file",
        )


def _has_password(url: str) -> bool:
    user_info = url.split("://", 1)[1].partition("/")[0].rpartition("@")[0]
    return ":" in user_info or "password=" in url.partition("?")[2]
