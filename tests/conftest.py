"""What all tests share; each plugin says what its fixtures are."""

from hypothesis import Phase, settings

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
# `make mutate` asks only whether a test fails: the smallest example that fails is of no use to it.
settings.register_profile(
    "mutate",
    settings.get_profile("mailrotate"),
    max_examples=50,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
settings.load_profile("mailrotate")
