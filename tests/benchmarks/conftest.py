"""`make bench` measures; every other run of these files calls each thing once, to see that it still works."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def only_on_request(request: pytest.FixtureRequest) -> None:
    if "benchmark" in request.fixturenames and not request.config.getoption("benchmark_only"):
        request.getfixturevalue("benchmark").disabled = True


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table: each group beside the first line of it."""
    if not config.getoption("benchmark_only"):
        return
    groups: dict[str, list[Any]] = {}
    for result in config._benchmarksession.benchmarks:  # type: ignore[attr-defined]
        groups.setdefault(result.group, []).append(result)
    write = terminalreporter.write_line
    for group, results in groups.items():
        write("")
        write(f"{group:<58} {'ns':>12}  ratio")
        unit = results[0].stats.min / results[0].extra_info.get("items", 1)
        for result in results:
            cost = result.stats.min / result.extra_info.get("items", 1)
            write(f"  {result.param:<56} {cost * 1e9:>12,.1f}  {cost / unit:.2f}")
