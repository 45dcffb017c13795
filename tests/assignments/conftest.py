import pytest

from classroom.grading.nursery import nursery


@pytest.fixture(scope="session")
def start():
    """Starts the processes in which answers are tried."""
    with nursery() as start:
        yield start
