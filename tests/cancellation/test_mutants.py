"""The mutants of `mutate.py` still fit the source: each breaks one place, and leaves Python that can be read."""

from __future__ import annotations

import pytest
from mutate import MUTANTS, PACKAGE, Mutant


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 30


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_each_mutant_breaks_one_place(mutant: Mutant) -> None:
    source = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    assert source.count(mutant.old) == 1
    assert mutant.new != mutant.old
    compile(source.replace(mutant.old, mutant.new), mutant.file, "exec")
