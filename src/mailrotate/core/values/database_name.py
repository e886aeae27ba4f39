"""How a database is named: a path, or a PostgreSQL URL."""

import re

from mailrotate.core.values.errors import BadInput

_POSTGRESQL = ("postgresql://", "postgres://")
# A scheme, also in capitals, with a driver, or with a slash too few; a login without a scheme; or libpq's
# keywords.
_NO_PATH = re.compile(
    r"\s*([A-Za-z][A-Za-z0-9+.-]*:/{1,2}|[^/\s:@]+:(?=[^/\s@]+@)"
    r"|(?:host|hostaddr|port|dbname|user|password|passfile|service)\s*=)"
)


def is_postgresql(name: str) -> bool:
    """Whether the name is a PostgreSQL URL; otherwise it is a path."""
    return name.startswith(_POSTGRESQL)


def refuse_scheme(name: str) -> None:
    """Raise BadInput (`db.scheme`) for the URL of anything else. It is not shown: it may have a password."""
    begins = _NO_PATH.match(name)
    if begins is not None and not is_postgresql(name):
        raise BadInput(
            "db.scheme",
            f"'{begins[1]}…' is not a database that mailrotate can use",
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
