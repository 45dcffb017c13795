"""The formulas in a piece of HTML, as MathJax finds them on nbgrader's pages, and those that it must not get to see.

A formula can do more than show itself. It can be a link, carry a class or a style of the page, draw a box with words
over what stands beside it, or give the commands in the formulas of all later answers another meaning. Such a formula is
put between `<code>` tags, where MathJax leaves it alone. MathJax's own Safe extension forbids only the first of these:
https://docs.mathjax.org/en/v2.7-latest/options/extensions/Safe.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

_LENGTH = r"\s*\{?\s*\d{0,2}(?:[.,]\d*)?\s*(?:em|ex|mu|px|pt|pc|mm|cm|in)(?![a-zA-Z])"  # neither negative nor large
_REFUSED = re.compile(
    r"""
    \\(?:
    # act, hide
    href | html\w* | class | cssId | style | mmlToken | unicode | toggle | texttip | mathtip
    # define
    | [gex]?def | let | global | (?:re)?new(?:command|environment) | providecommand | DeclareMathOperator
    | Newextarrow | definecolor | begingroup | endgroup
    | require (?! \s* \{ \s* (?:cancel|color|AMSmath|AMSsymbols) \s* \} )
    # paint, move
    | bbox | enclose | [bx]?cancel (?:to)? (?= \s* \[ ) | (?:raise|lower|move) [a-z]* | m?kern | [hmv]skip | skew
    | (?:math)? [rlc]lap | smash | [rR]ule | Space | above (?:withdelims)? | minCD\w+
    | [hm]space \*?+ (?! """
    + _LENGTH
    + r""" )
    | genfrac (?! \s* \{[^{}]*\} \s* \{[^{}]*\} \s* \{ \s* (?: 0 \s* [a-z]* )? \s* \} )
    ) (?![a-zA-Z])
    | \\\\ \s* \*? \s* \[ \s* \{? \s* - \s* [\d.,]+ \s* [a-z]{2}  # a row over the one above it
    """,
    re.VERBOSE,
)
_BACKWARDS = re.compile(r"\\(?:!|neg(?:thin|med|thick)space(?![a-zA-Z]))")
_FEW = 10  # of them, in one formula

# MathJax 2.7, extensions/tex2jax.js, with the delimiters of nbconvert's page.
_START = re.compile(r"\$\$|\$|\\\(|\\\[|\\begin\{([^}]*)\}|\\*\\\$|\\(?:eq)?ref\{[^}]*\}")
_ENDS = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_UNENDED = 100  # the search for an end goes through all of the text

_PIECE = re.compile(r'<(?P<end>/?)(?P<name>[a-z][a-z0-9]*)(?: [a-z-]+="[^"]*")*>|[^<]+')
_CHARACTER = re.compile(r"<[^>]*>|&[^;\s]+;|.", re.DOTALL)
_NOT_READ = ("code", "pre")  # by MathJax


def quote_formulas(html: str) -> tuple[str, bool]:
    """What `nh3` wrote, with the refused formulas as code; and whether there were any."""
    done: list[str] = []
    text: list[str] = []
    refused = unread = end = 0

    def end_of_text() -> int:
        quoted, refused = _quoted("".join(text))
        done.append(quoted)
        text.clear()
        return refused

    for piece in _PIECE.finditer(html):
        if piece.start() != end:
            break
        end = piece.end()
        name = piece["name"]
        if unread == 0 and name in (None, "br"):  # it reads across a line break
            text.append(piece[0])
            continue
        refused += end_of_text()
        done.append(piece[0])
        if name in _NOT_READ:
            unread += -1 if piece["end"] else 1
    refused += end_of_text()
    if end != len(html):
        raise ValueError("this is not HTML as nh3 writes it")
    return "".join(done), refused > 0


def _quoted(html: str) -> tuple[str, int]:
    """Of a text without tags, but for `<br>`."""
    pieces = _CHARACTER.findall(html)
    text = "".join(" " if piece.startswith("<") else unescape(piece) for piece in pieces)
    assert len(text) == len(pieces)
    if not (_REFUSED.search(text) or _BACKWARDS.search(text)):
        return html, 0
    found = [*_formulas(text)]
    formulas = [(begin, end) for begin, end in found if _is_refused(text[begin:end])]
    # A path `C:\class` outside of all formulas is honest; where it could be in one after all, only it is quoted.
    starts, ends = list(re.finditer(r"\$|\\[(\[]|\\begin|ref\{", text)), list(re.finditer(r"\$|\\[)\]]|\\end|\}", text))
    words = []
    if starts and ends:
        words = [match.span() for match in _REFUSED.finditer(text, starts[0].start(), ends[-1].end())]
    inside = [False] * len(text)
    for begin, end in formulas:
        inside[begin:end] = [True] * (end - begin)
    spans = sorted(formulas + [(begin, end) for begin, end in words if not any(inside[begin:end])])
    done, last = [], 0
    for begin, end in spans:
        done += [*pieces[last:begin], "<code>", *pieces[begin:end], "</code>"]
        last = end
    return "".join([*done, *pieces[last:]]), len(formulas)


def _is_refused(formula: str) -> bool:
    return bool(_REFUSED.search(formula)) or len(_BACKWARDS.findall(formula)) > _FEW


def _formulas(text: str) -> Iterator[tuple[int, int]]:
    """Where each begins and ends, its delimiters included."""
    at = unended = 0
    while start := _START.search(text, at):
        at = start.end()
        if start[0] in _ENDS or start[0].startswith("\\begin"):
            end = _end(text, at, _ENDS.get(start[0]) or f"\\end{{{start[1]}}}")
            if end is not None:
                at = end
                yield start.start(), end
            elif (unended := unended + 1) > _UNENDED:
                raise ValueError(f"more than {_UNENDED} formulas do not end")
        elif start[0].endswith("}"):
            yield start.span()


def _end(text: str, at: int, mark: str) -> int | None:
    depth = 0
    for found in re.compile(rf"{re.escape(mark)}|\\.|[{{}}]").finditer(text, at):
        if found[0] == mark:
            if depth == 0:
                return found.end()
        elif found[0] == "{":
            depth += 1
        elif found[0] == "}" and depth:
            depth -= 1
    return None
