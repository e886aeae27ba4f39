"""What all tests share; each plugin says what its fixtures are."""

pytest_plugins = [
    "tests.support.databases",
    "tests.support.mail_fixtures",
    "tests.support.post_office",
    "tests.support.rows",
]
