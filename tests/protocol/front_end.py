"""A front end without a browser: speaks the Jupyter protocol with a kernel as JupyterLab does.

It knows the widgets by their comms, clicks buttons by message, and sends these to the kernel's main shell or to a
subshell, as JupyterLab's setting `commsOverSubshells` decides.
"""

from __future__ import annotations

import ast
import os
import queue
import sys
import time

from jupyter_client.manager import KernelManager

# The Python whose kernel is tested; .ci/run sets it to environments with other versions of ipykernel.
KERNEL_PYTHON = os.environ.get("COUNTER_KERNEL_PYTHON", sys.executable)


class FrontEnd:
    def __init__(self):
        self._manager = KernelManager(kernel_name="python3")
        self._manager.kernel_spec.argv[0] = KERNEL_PYTHON
        self._manager.start_kernel()
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        self.widgets = {}  # the state of each widget, by comm id, kept up to date by what the kernel publishes

    def close(self):
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def start(self, code):
        """Begin to run a cell; the id to wait for."""
        return self._client.execute(code)

    def ask_what_kernel_it_is(self, times):
        """Ask so often, and wait for no answer."""
        for _ in range(times):
            self._client.kernel_info()

    def run(self, code, timeout=60):
        """Run a cell to its end."""
        self.wait_for_end(self.start(code), timeout)

    def wait_for_end(self, request, timeout=60):
        while True:
            reply = self._client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == request:
                assert reply["content"]["status"] == "ok", reply["content"]
                return

    def value(self, expression):
        """The value of a Python literal in the kernel."""
        request = self._client.execute("", user_expressions={"value": expression}, store_history=False)
        while True:
            reply = self._client.get_shell_msg(timeout=60)
            if reply["parent_header"].get("msg_id") == request:
                answer = reply["content"]["user_expressions"]["value"]
                assert answer["status"] == "ok", answer
                return ast.literal_eval(answer["data"]["text/plain"])

    def create_subshell(self):
        """The id of a new subshell; None if this kernel has none (ipykernel before 7)."""
        about = self._client.kernel_info(reply=True, timeout=60)["content"]
        if "kernel subshells" not in about.get("supported_features", ()):
            return None
        request = self._client.session.msg("create_subshell_request", {})
        self._client.control_channel.send(request)
        return self._client.get_control_msg(timeout=60)["content"]["subshell_id"]

    def click(self, button, subshell=None):
        """Click the button whose comm has this id."""
        self._send(button, {"method": "custom", "content": {"event": "click"}}, subshell)

    def set(self, widget, subshell=None, **state):
        """Change a widget's traits, as typing or ticking does."""
        self._send(widget, {"method": "update", "state": state, "buffer_paths": []}, subshell)

    def _send(self, comm_id, data, subshell):
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)

    def wait_until(self, condition, timeout=30):
        """Take in what the kernel publishes until `condition()` is true."""
        end = time.monotonic() + timeout
        while not condition():
            try:
                message = self._client.get_iopub_msg(timeout=max(0.01, min(0.2, end - time.monotonic())))
            except queue.Empty:
                if time.monotonic() > end:
                    raise TimeoutError(f"not within {timeout} s; texts on screen: {self.texts()}") from None
                continue
            content = message["content"]
            if message["msg_type"] == "comm_open":
                self.widgets[content["comm_id"]] = dict(content["data"]["state"])
            elif message["msg_type"] == "comm_msg" and "state" in content["data"]:
                self.widgets.setdefault(content["comm_id"], {}).update(content["data"]["state"])

    def texts(self, css_class="pizza-order-status"):
        """The values of all widgets with this class, in the order in which they were made."""
        return [s.get("value", "") for s in self.widgets.values() if css_class in s.get("_dom_classes", ())]

    def ids(self, css_class):
        return [comm for comm, s in self.widgets.items() if css_class in s.get("_dom_classes", ())]
