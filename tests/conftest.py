"""What all tests share; each plugin says what its fixtures are."""

from hypothesis import settings

pytest_plugins = [
    "tests.support.console",
    "tests.support.databases",
    "tests.support.mail_fixtures",
    "tests.support.post_office",
    "tests.support.rows",
    # After those that it imports.
    "tests.support.people",
]

# A shared machine may be slow at any moment; how long an example takes proves nothing.
settings.register_profile("mailrotate", deadline=None, print_blob=True)
settings.load_profile("mailrotate")
