"""A real JupyterLab on a copy of the lessons, and a page of it as a reader uses it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
SHOTS = Path(__file__).parent / "shots"
PYTHON = os.environ.get("COUNTER_KERNEL_PYTHON", sys.executable)  # the environment whose JupyterLab is tested
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The lessons must do without a network: no name but this machine's own resolves.
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


# Answers of the kernel come later by as many milliseconds as `window.distance` says.
DISTANCE = """
window.distance = 0;
const Real = WebSocket;
window.WebSocket = class extends Real {
    get onmessage() { return super.onmessage; }
    set onmessage(receive) {
        super.onmessage = message => {
            if (window.distance) setTimeout(() => receive.call(this, message), window.distance);
            else receive.call(this, message);
        };
    }
};
"""


def find_browser():
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Lab:
    """JupyterLab on a copy of notebooks/, as it is for somebody who starts it for the first time, on a free port."""

    def __init__(self, folder):
        self.notebooks = folder / "course" / "notebooks"
        shutil.copytree(ROOT / "notebooks", self.notebooks, ignore=shutil.ignore_patterns(".*"))
        if (ROOT / "docs").exists():  # the lessons show its pictures
            shutil.copytree(ROOT / "docs", folder / "course" / "docs")
        self._token = secrets.token_hex()
        self._log = folder / "lab.log"
        own = {f"JUPYTER_{kind.upper()}_DIR": str(folder / kind) for kind in ("config", "data", "runtime")}
        own |= {
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_TOKEN": self._token,
        }
        command = [PYTHON, "-m", "jupyter", "lab", "--no-browser", "--expose-app-in-browser"]
        command += ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--ServerApp.root_dir={folder / 'course'}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
        try:
            self._url = self._wait_until_it_answers(folder / "runtime" / f"jpserver-{self._process.pid}.json")
        except BaseException:
            self.close()
            raise

    def _wait_until_it_answers(self, info, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            try:
                url = json.loads(info.read_text())["url"]
                self._url = url
                self.ask("api/status")
                return url
            except (OSError, ValueError):  # not yet
                time.sleep(0.05)
        raise RuntimeError(f"JupyterLab did not answer within {seconds} s:\n{self._log.read_text()}")

    def ask(self, path, method="GET"):
        """An answer of the server's REST interface."""
        request = Request(self._url + path, method=method, headers={"Authorization": f"token {self._token}"})
        with urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def log(self):
        """The last that the server said."""
        return self._log.read_text()[-5000:]

    def address(self, notebook=None):
        """Where a notebook is found, alone on its page; or JupyterLab with nothing open."""
        place = f"doc/tree/{notebook}" if notebook else "lab"
        return f"{self._url}{place}?token={self._token}"

    def stop_kernels(self, notebook=None):
        """Those of all notebooks, or of one."""
        for session in self.ask("api/sessions"):
            if notebook in (None, session["path"]):
                self.ask(f"api/sessions/{session['id']}", "DELETE")

    def close(self):
        try:
            if self._process.poll() is None:
                self.stop_kernels()
        except (AttributeError, OSError):
            pass  # it never answered
        finally:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Notebook:
    """A notebook on its page, ready to run."""

    def __init__(self, page, lab, name):
        self.page = page
        self._lab = lab
        self._path = f"notebooks/{name}.ipynb"
        self.dialogs = []
        self.requests_elsewhere = []
        self.page_errors = []  # of scripts, uncaught
        page.on("dialog", self._note_dialog)
        page.on("request", self._note_request)
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        page.add_init_script(DISTANCE)
        page.goto(lab.address(self._path))
        page.wait_for_function(
            """() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'""",
            timeout=60_000,
        )

    def _note_dialog(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _note_request(self, request):
        if not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:|about:", request.url):
            self.requests_elsewhere.append(request.url)

    def close(self):
        """Leave the page, and stop the notebook's kernel."""
        self.page.close()
        self._lab.stop_kernels(self._path)

    def start_all(self):
        """Run > Run All Cells. What was saved with the notebook is gone."""
        self._start("notebook:clear-all-cell-outputs")
        self.wait()
        self._start("notebook:run-all-cells")

    def run_cell(self, index, timeout=60):
        """Run the code cell of this number, from 0, as with Ctrl+Enter, and wait for its end."""
        self.page.evaluate(
            """index => {
                const notebook = jupyterapp.shell.currentWidget.content;
                const code = notebook.widgets.filter(cell => cell.model.type === 'code');
                notebook.activeCellIndex = notebook.widgets.indexOf(code[index]);
                notebook.deselectAll();
            }""",
            index,
        )
        self._start("notebook:run-cell")
        self.wait(timeout)

    def run_python(self, code):
        """The repr of an expression in the notebook's kernel, or "" of a statement; no cell is used."""
        return self.page.evaluate(
            """async code => {
                const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                let answer = '';
                const request = kernel.requestExecute({code, store_history: false});
                request.onIOPub = message => {
                    if (message.header.msg_type === 'execute_result') answer = message.content.data['text/plain'];
                };
                const reply = await request.done;
                if (reply.content.status !== 'ok') throw new Error(reply.content.evalue);
                return answer;
            }""",
            code,
        )

    def start_python(self, code):
        """Let the notebook's kernel begin to run this, and do not wait for it."""
        self.page.evaluate(
            """code => {
                const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                kernel.requestExecute({code, store_history: false});
            }""",
            code,
        )

    def _start(self, command):
        self.page.evaluate(
            """command => {
                window.ended = false;
                jupyterapp.commands.execute(command).finally(() => { window.ended = true; });
            }""",
            command,
        )

    def wait(self, timeout=60):
        """Until the cells that were started have ended."""
        from playwright.sync_api import TimeoutError

        try:
            self.page.wait_for_function("window.ended", timeout=timeout * 1000)
        except TimeoutError:
            state = self.page.evaluate(
                """() => {
                    const {connectionStatus, status, id} = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                    return `kernel ${id} ${status}, ${connectionStatus}`;
                }"""
            )
            raise RuntimeError(
                f"{self._path} did not end within {timeout} s: {state}, its cells {self.cells()}\n{self._lab.log()}"
            ) from None

    def cells(self):
        """Of each code cell: its execution count, and the errors among its outputs."""
        return self.page.evaluate(
            """() => jupyterapp.shell.currentWidget.content.widgets
                .filter(cell => cell.model.type === 'code')
                .map(cell => [
                    cell.model.executionCount,
                    cell.model.outputs.toJSON().filter(output => output.output_type === 'error')
                        .map(output => `${output.ename}: ${output.evalue}`),
                ])"""
        )

    def output(self, index):
        """The output area of a code cell, as a locator."""
        return self.page.locator(".jp-CodeCell").nth(index).locator(".jp-Cell-outputArea")

    def theme(self, name):
        """`light` or `dark`."""
        self.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", f"JupyterLab {name.title()}"
        )
        light = str(name == "light").lower()
        self.page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")

    def put_kernel_at_a_distance(self, milliseconds):
        """As with Binder: what the kernel says arrives so much later. 0 is the rule."""
        self.page.evaluate("milliseconds => { window.distance = milliseconds; }", milliseconds)

    def screenshot(self, name, of=None):
        """A picture for the eye, in shots/: of the page, or of one element."""
        SHOTS.mkdir(exist_ok=True)
        (of or self.page).screenshot(path=SHOTS / f"{name}.png")


class Reader:
    """A page on which notebooks are opened and read, one after the other, without a kernel."""

    def __init__(self, page, lab):
        self.page = page
        page.goto(lab.address())
        page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)", timeout=60_000)

    def open(self, name):
        """As with the file browser's "Open With > Notebook (no kernel)"; what was open before is closed."""
        self.page.evaluate(
            """async path => {
                await jupyterapp.commands.execute('application:close-all');
                const kernelPreference = {shouldStart: false, shouldReuse: false};
                const panel = await jupyterapp.commands.execute('docmanager:open', {path, kernelPreference});
                await panel.context.ready;
                await panel.revealed;
            }""",
            f"notebooks/{name}.ipynb",
        )

    def diagrams(self):
        """Each Mermaid diagram of the open notebook, brought into sight: JupyterLab draws it only then."""
        cells = self.page.evaluate(
            """() => jupyterapp.shell.currentWidget.content.widgets.flatMap((cell, index) => {
                const count = cell.model.sharedModel.getSource().split('```mermaid').length - 1;
                return cell.model.type === 'markdown' && count ? [[index, count]] : [];
            })"""
        )
        for index, count in cells:
            self.page.evaluate("index => jupyterapp.shell.currentWidget.content.scrollToItem(index, 'center')", index)
            cell = self.page.locator(f'.jp-Cell[data-windowed-list-index="{index}"]')
            for number in range(count):
                diagram = cell.locator(".jp-RenderedMermaid").nth(number)
                diagram.scroll_into_view_if_needed()
                yield diagram
