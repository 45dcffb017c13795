"""What students wrote, made fit for a page that acts with the teacher's rights.

nbgrader's Formgrader shows a submission on a page that may change grades and, through Jupyter, files. The feedback is a
page, too. Markdown may hold HTML, so a script in an answer would run there. nbconvert's `sanitize_html` does not help,
because nbgrader's templates never ask for it.

A text is judged by the HTML that the page would make of it, because only that decides what happens there. If a
sanitizer (nh3) finds nothing to take away, the text stays as it is. If it does, its HTML takes the text's place, and
a line says so; but not where only comments are missing, or the same is written in another way.
"""

from __future__ import annotations

import re
import string
import time
from collections.abc import Callable, Collection, Mapping
from functools import cache
from html import escape, unescape
from typing import Any

import nh3
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import strip_files_prefix
from pygments.token import STANDARD_TYPES

from classroom.grading.formulas import quote_formulas

CLEANED = "HTML in this answer was cleaned for this page. The notebook that was handed in is unchanged."
QUOTED = "A formula in this answer is shown as it was written, because this page cannot show all of it."
AS_TEXT = "This answer is shown as it was written, because this page cannot show all of it."

# Characters, embedded pictures apart, and marks that may begin a link or a formula. For each that has no end, nbconvert
# goes through all the rest of the text; https://github.com/advisories/GHSA-qcq2-496w-v96p mended some of that.
_LONGEST = 20_000
_MOST = 500
_MARK = re.compile(r"\[|\\\\\(")
_EMBEDDED = re.compile(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]*")

# An input is the box of a task list. MathJax reads a formula as if no `<wbr>` were in it.
_TAGS = (nh3.ALLOWED_TAGS - {"area", "map", "wbr"}) | {"font", "input", "tfoot"}
_ATTRIBUTES = {
    "*": {"class", "dir", "lang", "style", "title"},
    "a": {"href", "id", "name"},
    "details": {"open"},
    "div": {"align"},
    "font": {"color", "face", "size"},
    "input": {"checked"},
    "img": {"alt", "height", "src", "width"},
    "ol": {"start"},
    "p": {"align"},
    "table": {"align", "border"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan"},
    **{heading: {"id"} for heading in ("h1", "h2", "h3", "h4", "h5", "h6")},
}
_WORDS = re.compile(r"[a-z -]+", re.IGNORECASE)
_STYLES = {
    "background-color": re.compile(r"#?\w+|(?:rgb|hsl)a?\([\d\s.,%/]+\)", re.IGNORECASE),
    "color": re.compile(r"#?\w+|(?:rgb|hsl)a?\([\d\s.,%/]+\)", re.IGNORECASE),
    "font-style": _WORDS,
    "overflow-wrap": _WORDS,
    "font-weight": re.compile(r"[a-z]+|\d{3}", re.IGNORECASE),
    "text-align": _WORDS,
    "text-decoration": _WORDS,  # with a length, it is as thick as the page
    "white-space": _WORDS,
}
_FOLDED = "white-space: pre-wrap; overflow-wrap: anywhere"

# The classes that nbconvert writes, and those of Jupyter's own boxes. Others could dress a text up as a part of the
# page, or as one of its buttons.
_CLASS = re.compile(
    r"highlight|language-[\w+#.-]+|anchor-link|task-list-item(-checkbox)?|jp-Mermaid|mermaid"
    r"|alert(-(block|danger|info|success|warning))?"
)
_CODE_CLASSES = frozenset(STANDARD_TYPES.values())
_LINK = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)  # a link to a file beside the notebook may open a script
_PICTURE = re.compile(  # of the submission itself: one from elsewhere tells its server who looks, and can be a command
    r"data:image/(png|jpe?g|gif|webp);base64,[\w+/=\s]*"
    r"|(\./)?((?!\.)([\w .,()+@~'-]|%(?!2[ef])[0-9a-f]{2})+/)*"
    r"(?!\.)([\w .,()+@~'-]|%(?!2[ef])[0-9a-f]{2})+\.(png|jpe?g|gif|webp)",
    re.IGNORECASE,
)
_MATHJAX = ("mathjax_", "mathjax-", "mjx-")  # how the ids begin that it looks for

_CHECKBOX = {"input": {"type": "checkbox", "disabled": ""}}
_NEWLINE_IN_PRE = re.compile(r"""(<pre(?: [a-z-]+="[^"<>]*")*>)(\n)""")  # as nh3 writes it

_TOKEN = re.compile(
    r"""
    (?P<text> (?: [^<] | <(?![a-zA-Z/!?]) )+ )
    | <!-- [^<>-]* -->
    | < (?P<end> /? ) (?P<name> [a-z][a-z0-9]* )
        (?P<attributes> (?: \s+ [a-z-]+ (?: = (?: "[^"<>]*" | '[^'<>]*' ) )? )* ) \s* /? >
    """,
    re.VERBOSE,
)
_ATTRIBUTE = re.compile(r"""([a-z-]+)(?:=(?:"([^"]*)"|'([^']*)'))?""")


def clean_markdown(
    source: str, attachments: Mapping[str, Mapping[str, str]] | None = None, taken: Collection[str] = ()
) -> str:
    """The Markdown `source`, or what to put in its place. `taken`: ids that the page needs for itself."""
    if _takes_too_long(source):
        return show_as_text(source)
    try:
        text = _fit_for_the_page(source, _rendered(source, attachments), taken)
        return text if text == source or _rendered(text).strip() == text else show_as_text(source)
    except Exception:  # a picture that is not attached, lists in lists in lists: nbconvert could not show it, either
        return show_as_text(source)


def clean_raw(source: str, taken: Collection[str] = ()) -> str:
    """The text of a raw cell, which is HTML on the page, or what to put in its place."""
    if _takes_too_long(source):
        return show_as_text(source)
    try:
        return _fit_for_the_page(source, source, taken)
    except ValueError:
        return show_as_text(source)


def show_as_text(source: str) -> str:
    """What to put in the place of any text, in next to no time."""
    text = _newline_first(escape(source))
    return _as_block(f'<p><em>{AS_TEXT}</em></p><pre style="{_FOLDED}">{text}</pre>')


class Patience:
    """Time for cleaning one notebook. `is_left` until `seconds` of the processor's time have gone by."""

    def __init__(self, seconds: float = 5.0, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def is_left(self) -> bool:
        return self._clock() < self._end


def _fit_for_the_page(source: str, html: str, taken: Collection[str]) -> str:
    cleaned = clean_html(html, taken)
    quoted, is_formula_refused = quote_formulas(cleaned)
    if quoted == cleaned and _is_the_same(html, cleaned):
        return source
    words = [CLEANED] if _has_lost(html, cleaned) else []
    words += [QUOTED] if is_formula_refused else []
    return _as_block("".join(f"<p><em>{one}</em></p>" for one in words) + quoted)


def clean_html(html: str, taken: Collection[str] = ()) -> str:
    """Only what shows something: nothing that runs, and nothing that loads, hides or imitates a part of the page."""

    def allowed(tag: str, name: str, value: str) -> str | None:
        if name == "class":
            return " ".join(word for word in value.split() if word in _CODE_CLASSES or _CLASS.fullmatch(word)) or None
        if name in ("id", "name"):
            return None if value in taken or value.lower().startswith(_MATHJAX) else value
        if name == "style":
            return _style(value) or None
        if name == "href":
            return value if _LINK.match(value) else None
        if name == "src":
            return value if _PICTURE.fullmatch(value) else None
        return value

    cleaned = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=allowed,
        link_rel=None,
        set_tag_attribute_values=_CHECKBOX,
        url_schemes={"data", "http", "https", "mailto"},
        filter_style_properties={*_STYLES},
    )
    return _NEWLINE_IN_PRE.sub(lambda pre: pre[1] + _newline_first(pre[2]), cleaned)


def _style(style: str) -> str:
    """Each of its declarations that only changes how a text looks."""
    declarations = [declaration.partition(":")[::2] for declaration in style.split(";")]
    kept = [(name.strip().lower(), value.strip()) for name, value in declarations]
    return "; ".join(f"{name}: {value}" for name, value in kept if name in _STYLES and _STYLES[name].fullmatch(value))


def _newline_first(text: str) -> str:
    """Of the text in a `<pre>` browsers do not show a line break that comes first: so it is there twice."""
    return f"\n{text}" if text.startswith("\n") else text


def _rendered(source: str, attachments: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """As nbgrader's templates do it, for the Formgrader and for the feedback."""
    cell = {"attachments": attachments or {}}
    html: str = strip_files_prefix(_page().markdown2html({"cell": cell}, source))  # type: ignore[no-untyped-call]
    return html


@cache
def _page() -> Any:
    return HTMLExporter()  # type: ignore[no-untyped-call]


def _takes_too_long(source: str) -> bool:
    text = _EMBEDDED.sub("", source)
    return len(text) > _LONGEST or len(_MARK.findall(text)) > _MOST


def _is_the_same(html: str, cleaned: str) -> bool:
    """Whether every browser reads the same in both. When in doubt, they differ."""
    tokens = _tokens(html)
    return tokens is not None and tokens == _tokens(cleaned)


def _has_lost(html: str, cleaned: str) -> bool:
    """Whether a reader misses something in `cleaned`. Nothing depends on it but the line that says so."""
    words = set(re.findall(r"[a-z][a-z0-9+.-]*", unescape(html).lower()))
    everything = nh3.clean(
        _FOOTNOTE.sub(r"<a\1", html),
        tags={name.lower() for name in re.findall(r"<([a-zA-Z][^\s/>]*)", html)} - {"wbr"},
        clean_content_tags=set(),
        attributes={},
        generic_attribute_prefixes=set(string.printable),
        link_rel=None,
        set_tag_attribute_values=_CHECKBOX,
        url_schemes=words | {"data", "file", "ftp", "javascript", "tel", "vbscript"},
    )
    tokens = _tokens(_NEWLINE_IN_PRE.sub(lambda pre: pre[1] + _newline_first(pre[2]), everything))
    return tokens is None or tokens != _tokens(_FOOTNOTE.sub(r"<a\1", cleaned))


# nbconvert knows no footnotes, and makes the mark a link to the first word of the note.
_FOOTNOTE = re.compile(r"""<a(?: href="[^"<>]*")?((?: title="[^"<>]*")?>\^)""")


def _tokens(html: str) -> list[tuple[str, object]] | None:
    """None where there may be two ways to read it, as with a tag that stays open or an attribute without quotes."""
    tokens: list[tuple[str, object]] = []
    end, text = 0, ""

    def end_of_text() -> None:
        is_first_in_pre = tokens and tokens[-1][0] == "<pre"  # browsers do not show a line break there
        shown = unescape(text).removeprefix("\n" if is_first_in_pre else "")
        tokens.extend([("", shown)] if shown else [])

    for token in _TOKEN.finditer(html):
        if token.start() != end:
            return None
        end = token.end()
        text += token["text"] or ""
        if token["name"] in (None, "tbody"):  # a text, a comment, or what browsers add where it is missing
            continue
        end_of_text()
        found = _ATTRIBUTE.findall(token["attributes"])
        attributes = {name: _plain(name, one or other) for name, one, other in found}
        tokens.append((f"<{token['end']}{token['name']}", attributes))
        text = ""
    end_of_text()
    return tokens if end == len(html) else None


def _plain(name: str, value: str) -> str:
    text = unescape(value)
    return re.sub(r"\s*([:;])\s*", r"\1", text).strip("; ").lower() if name == "style" else text


def _as_block(html: str) -> str:
    """One line of HTML, which Markdown leaves alone: the block would end at an empty line."""
    return re.sub(r"[^\S ]", lambda space: f"&#{ord(space[0])};", f"<div>{html}</div>")
