"""What a committed notebook must be: looked at as a file, and run twice in one kernel, both times as it was saved."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from copy import deepcopy

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

MACHINE_PATH = re.compile(
    r"(?<![\w.])/(?:home|root|tmp|Users|work|private|var/folders)/[\w.]|[A-Z]:\\\\Users|site-packages"
)
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}

# Run before and after: what of this process was not there before?
SURVEY = """
import asyncio as _a, json as _j, threading as _t
import psutil as _p
def _survey():
    me = _p.Process()
    return {
        "tasks": sorted(str(task.get_coro().__qualname__) for task in _a.all_tasks() if not task.done()),
        "threads": sorted(thread.name for thread in _t.enumerate() if thread.name != "cancellation-timers"),
        "ports": sorted(c.laddr.port for c in me.net_connections(kind="inet") if c.status == _p.CONN_LISTEN),
        "processes": sorted(child.name() for child in me.children()),
    }
print(_j.dumps(_survey()))
"""


def complaints(path):
    """What is wrong with the notebook as a file, in words; an empty list if nothing is."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    found = []
    if notebook["metadata"].get("kernelspec") != KERNELSPEC:
        found.append(f"kernelspec is {notebook['metadata'].get('kernelspec')}, not {KERNELSPEC}")
    if (notebook["nbformat"], notebook["nbformat_minor"]) < (4, 5):
        found.append("older than nbformat 4.5")
    if notebook["metadata"].get("language_info") != {"name": "python"}:
        found.append("language_info says more than the language: it changes with everybody's Python")
    if unknown := set(notebook["metadata"]) - {"kernelspec", "language_info", "widgets"}:
        found.append(f"metadata that nothing here reads: {sorted(unknown)}")
    if marked := [cell["metadata"] for cell in notebook["cells"] if cell["metadata"].keys() - {"tags"}]:
        found.append(f"cells with more metadata than tags: {marked}")
    if "widgets" in notebook["metadata"]:
        found.append("saved widget state: numbers that change at every save")
    if match := MACHINE_PATH.search(text):
        found.append(f"a path of somebody's machine: {text[match.start() : match.start() + 40]!r}")
    ids = [cell.get("id") for cell in notebook["cells"]]
    if None in ids or len(set(ids)) < len(ids):
        found.append("cells without an id of their own")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in code]
    if counts != list(range(1, len(code) + 1)):
        found.append(f"not run in order from 1: nbval compares nothing where the count is missing; counts are {counts}")
    found += [
        f"cell {cell['execution_count']} ends in an error: {output['ename']}"
        for cell in code
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]
    found += [
        f"cell {cell['execution_count']} saved a warning: {''.join(output['text'])!r}"
        for cell in code
        for output in cell["outputs"]
        if output.get("name") == "stderr"
    ]
    return found


@contextmanager
def kernel(notebook, path):
    """A client of a fresh kernel of this very Python."""
    manager = AsyncKernelManager(kernel_name="python3")
    manager.kernel_spec.argv[0] = sys.executable
    client = NotebookClient(notebook, km=manager, timeout=100, resources={"metadata": {"path": str(path.parent)}})
    with client.setup_kernel(cleanup_kc=True):  # the manager is ours, so the client would leave its kernel running
        yield client


def saved(path):
    """What the file says that each of its code cells shows."""
    return [normalised(cell.outputs) for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def differences(expected, found):
    """In which code cells two runs differ, or a run and what is saved: in words."""
    return [
        f"code cell {number} shows {now}, not {before}"
        for number, (before, now) in enumerate(zip(expected, found, strict=True), 1)
        if now != before
    ]


def run_twice(path):
    """Outputs of a first and a second run in one kernel, and what is left behind after them, by kind."""
    notebook = nbformat.read(path, as_version=4)
    with kernel(deepcopy(notebook), path) as client:  # a copy: the client writes what it runs into its notebook
        before = survey(client)
        first, second = run(client, notebook), run(client, notebook)
        after = survey(client)
    left = {kind: [name for name in after[kind] if name not in before[kind]] for kind in after}
    return first, second, {kind: names for kind, names in left.items() if names}


def survey(client):
    cell = nbformat.v4.new_code_cell(SURVEY)
    client.execute_cell(cell, 0)
    return json.loads("".join(output["text"] for output in cell.outputs if output.get("name") == "stdout"))


def run(client, notebook):
    outputs = []
    for cell in deepcopy(notebook.cells):
        if cell.cell_type == "code":
            client.execute_cell(cell, 0)
            outputs.append(normalised(cell.outputs))
    return outputs


def normalised(outputs):
    """Outputs as nbval compares them: streams joined; pictures and the numbers of widgets' views left out."""
    streams, rest = {}, []
    for output in outputs:
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + output["text"]
        elif output["output_type"] == "error":
            rest.append((output["ename"], output["evalue"]))
        else:
            left_out = ("image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json")
            rest.append({kind: value for kind, value in output["data"].items() if kind not in left_out})
    return streams, rest
