"""Which tests need the machine to themselves: `make test` runs all others first, on two cores."""

import pytest

ALONE = {"browser", "cluster", "protocol"}  # they click, or kill, while an order runs in real time


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name in ALONE:
            item.add_marker(pytest.mark.alone)
