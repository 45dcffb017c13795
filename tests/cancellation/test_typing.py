"""What type checkers make of the package: they pass good calls, and refuse wrong arguments and coroutine functions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api

import cancellation

TYPED = Path(__file__).parent / "typed.py"
SOURCES = str(Path(cancellation.__file__).parents[1])
WRONG = {number for number, line in enumerate(TYPED.read_text("utf-8").splitlines(), 1) if line.endswith("# error")}


def test_mypy_refuses_the_lines_that_are_wrong_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYPYPATH", SOURCES)
    options = ["--strict", "--config-file=", f"--cache-dir={tmp_path}", "--no-error-summary", "--hide-error-context"]
    said, broken, _ = api.run([*options, str(TYPED)])
    assert not broken
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert {int(line.split(":")[1]) for line in errors} == WRONG, said


@pytest.mark.skipif(shutil.which("pyright") is None, reason="there is no pyright here")
def test_pyright_refuses_the_lines_that_are_wrong_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [SOURCES]}))
    shutil.copy(TYPED, tmp_path)
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = {entry["range"]["start"]["line"] + 1 for entry in found if entry["severity"] == "error"}
    assert errors == WRONG, done.stdout
