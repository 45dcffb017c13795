"""What the grading process tells its child: plain data, as it goes there as JSON."""

from __future__ import annotations

from typing import TypedDict


class Job(TypedDict):
    answer: str  # source text
    unreadable: list[str]  # what the parser said of cells that are not Python
    test: str  # source text
    limit: float  # seconds
