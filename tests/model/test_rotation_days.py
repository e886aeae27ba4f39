"""Days of a rotation over three mailboxes, played at random on both databases (C3-C15, D5, E1-E5, F3, F5).

`make test` plays short examples, `make proof` some of 60 steps, both always the same: a change that fails has
broken a promise. To play other days by hand (500 examples of 60 steps take hours):
MAILROTATE_MODEL="SEED 500 60" pytest -m proof -s tests/model
"""

import os

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Days
from tests.model.world import Ground, on_postgresql, on_sqlite

# In `make test` the file, which is the quicker one; in `make proof` both.
POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.proof)


@pytest.fixture(scope="module", params=["sqlite", POSTGRESQL])
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("scene")
    if request.param == "sqlite":
        return on_sqlite(request.getfixturevalue("sqlite_template"), folder)
    template = request.getfixturevalue("postgresql_template")
    return on_postgresql(request.getfixturevalue("postgresql"), template, folder)


def play(ground: Ground, number: int, examples: int, steps: int) -> None:
    print(f"seed {number}: {examples} examples of {steps} steps")  # noqa: T201  to play it again
    run_state_machine_as_test(
        seed(number)(lambda: Days(ground)),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)
def test_the_promises_hold_on_every_day_of_a_rotation(ground: Ground) -> None:
    play(ground, 1, examples=25, steps=6)


@pytest.mark.proof
@pytest.mark.timeout(36000)
def test_the_promises_hold_on_many_long_days_of_a_rotation(ground: Ground) -> None:
    number, examples, steps = map(int, os.environ.get("MAILROTATE_MODEL", "1 5 60").split())
    play(ground, number, examples, steps)
