"""How many workers `pytest -n auto` starts: the cores and the memory say, not a count of the machine's processors."""

import pytest

from autograder.machine import fitting_jobs

# Its asserts show what they compared, as those of a test file do.
pytest.register_assert_rewrite("tests.assignments")

MEGABYTES_PER_WORKER = 1500  # torch, Otter and matplotlib, with a judge and a child that trains beside them


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The hook that xdist asks."""
    return fitting_jobs(MEGABYTES_PER_WORKER)
