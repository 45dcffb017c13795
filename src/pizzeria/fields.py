"""The counter's fields: what is typed or chosen reaches the kernel before the next click, also on ipykernel 7.4.

That version hears of widgets while a cell awaits, and two of its ways would lose what a reader types:

- A widget that answers, on a page that asked, is heard on another thread from then on. ipywidgets answers each change
  of a field with an echo, so a click, which is heard on the first thread, would overtake what was typed before it.
  These fields have no echo.
- It does not tell the page that it has heard a change while a cell awaits. The page waits for that word before it
  sends this field's next change: it would wait for ever. These fields tell it themselves.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
from IPython.core.getipython import get_ipython
from traitlets import Bool, Int, Unicode


class _Heard(widgets.DOMWidget):
    def _handle_msg(self, message: dict[str, Any]) -> None:
        super()._handle_msg(message)
        kernel = getattr(get_ipython(), "kernel", None)
        if kernel is not None:  # a second such word, from the kernel itself, does no harm
            kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent=message)


class Text(_Heard, widgets.Text):
    value = Unicode("").tag(sync=True, echo_update=False)


class Dropdown(_Heard, widgets.Dropdown):
    index = Int(None, allow_none=True).tag(sync=True, echo_update=False)


class Checkbox(_Heard, widgets.Checkbox):
    value = Bool(False).tag(sync=True, echo_update=False)
