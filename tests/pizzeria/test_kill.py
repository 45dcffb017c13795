import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the killing loop forks, which this system cannot")
def test_a_ledger_whose_process_was_killed_at_any_of_100_instants_balances_when_reopened(tmp_path):
    loop = Path(__file__).with_name("kill_loop.py")
    run = subprocess.run(
        [sys.executable, loop, tmp_path / "money.db", "100"], capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    assert len(results) == 100
    for number, result in enumerate(results):
        assert result["repaired"] == result["left"], number
        assert result["still open"] == [], number
        assert result["kept"] == result["settled"], number
    assert sum(bool(result["left"]) for result in results) > 50  # most kills did hit orders under way
    assert results[-1]["settled"] > 0  # and some orders did complete
