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
        if bounds := [result.extra_info["ratio"] for result in results if "ratio" in result.extra_info]:
            write(f"\n{group}")
            for ratio, name in bounds:
                write(f"  {name:<70} {ratio:>6.2f}")
            continue
        write(f"\n{group:<60} {'ns':>10}  ratio")
        costs = [result.stats.min / result.extra_info["items"] for result in results]
        for result, cost in zip(results, costs, strict=True):
            write(f"  {result.param:<58} {cost * 1e9:>10,.1f} {cost / costs[0]:>6.2f}")
