"""What the counter says to screen readers.

They speak what changes inside a region that was on the page before. `widgets.HTML` draws all of its value anew at each
change, the region too, and some screen readers then say nothing. This widget keeps the region and changes its words.
"""

from __future__ import annotations

from html import escape

from anywidget import AnyWidget
from traitlets import Unicode


class LiveRegion(AnyWidget):
    """Spoken when the reader pauses ("politely"). `value`: HTML, a single element."""

    value = Unicode('<div role="status" aria-live="polite"></div>').tag(sync=True)
    _esm = """
    export default {
      render({ model, el }) {
        el.innerHTML = model.get("value");
        model.on("change:value", () => {
          const page = document.createElement("template");
          page.innerHTML = model.get("value");
          el.firstElementChild.replaceChildren(...page.content.firstElementChild.childNodes);
        });
      },
    };
    """

    def say(self, text: str) -> None:
        before = self.value
        self.value = f'<div role="status" aria-live="polite">{escape(text)}</div>'
        if self.value == before:  # said again, it is to be heard again
            self.value = before.replace("</div>", "&nbsp;</div>")
