"""The counter's fields, whose changes reach the kernel before the click that follows them.

ipywidgets tells the page back what the page has just said, an echo. ipykernel 7.4 takes that for a reason to hear of
this widget on another thread from then on, while it hears of the button on the first: so a click would overtake what
was typed right before it. Without an echo all arrive on one thread, in their order, on every version.
"""

from __future__ import annotations

import ipywidgets as widgets
from traitlets import Bool, Int, Unicode


class Text(widgets.Text):
    value = Unicode("").tag(sync=True, echo_update=False)


class Dropdown(widgets.Dropdown):
    index = Int(None, allow_none=True).tag(sync=True, echo_update=False)


class Checkbox(widgets.Checkbox):
    value = Bool(False).tag(sync=True, echo_update=False)
