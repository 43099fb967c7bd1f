"""How many workers `pytest -n auto` starts: the cores and the memory say, not a count of the machine's processors."""

import pytest

from autograder.machine import fitting_jobs

pytest.register_assert_rewrite(
    "tests.assignments"
)  # its asserts show what they compared, as a test file's do

MEGABYTES_PER_WORKER = 1500  # torch, Otter and matplotlib, with a judge and a child that trains beside them


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The hook that xdist asks."""
    return fitting_jobs(MEGABYTES_PER_WORKER)
