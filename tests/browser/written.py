"""What students write into a Markdown cell: texts that set out to act on the page, and honest ones."""

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SVG = "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIG9ubG9hZD0icmFuKCkiLz4="
PAGE = "data:text/html;base64,PHNjcmlwdD5wYXJlbnQucmFuKCk8L3NjcmlwdD4="
PICTURE = "<img src=x onerror=ran()>"

# They call `ran()` as soon as the page is there, or when something on it is touched or clicked.
RUNS = {
    "a script": "<script>ran()</script>",
    "a script in a sentence": "Because <script>ran()</script> it stops.",
    "a script in a quote": "> <script>ran()</script>",
    "a script after a fence that ends early": "~~~\na < b\n~~~\n<script>ran()</script>\n~~~",
    "a script in a fence that is none": "``` a`b\n<script>ran()</script>\n```",
    "a script that is not deep enough for code": "Look:\n    <script>ran()</script>",
    "a script after a backtick that stays open": "`<script>ran()</script>",
    "a script after the end of the page's boxes": "</div></div></div></div></div><script>ran()</script>",
    "a picture that is not there": PICTURE,
    "a picture in a table": f"| a |\n|---|\n| {PICTURE} |",
    "a picture in a list": f"- one\n- {PICTURE}",
    "a picture in a heading": f"# Title {PICTURE}",
    "a picture in a diagram": f"```mermaid\n{PICTURE}\n```",
    "a picture whose tag stays open": "<div>\n<img src=x onerror=ran() title=",
    "a picture behind a comment that is none": f"<!--> {PICTURE} -->",
    "a picture in a formula of another kind": f"<math><mtext><table><mglyph><style><!--</style>{PICTURE}",
    "a drawing": "<svg onload=ran()></svg>",
    "a drawing in a drawing": "<svg><g><animate onbegin=ran() attributeName=x dur=1s></g></svg>",
    "a frame with a text": "<iframe srcdoc='<script>parent.ran()</script>'></iframe>",
    "a frame with an address": "<iframe src='javascript:parent.ran()'></iframe>",
    "a details box": "<details open ontoggle=ran()><summary>More</summary></details>",
    "a field that takes the keyboard": "<input autofocus onfocus=ran()>",
    "a large field that takes the keyboard": "<textarea autofocus onfocus=ran()></textarea>",
    "a film": "<video><source onerror=ran()></video>",
    "a link that is touched": '<a href="https://example.org" onmouseover="ran()">Read</a>',
    "a link": "[Read](javascript:ran())",
    "a link in capitals": "[Read](JaVaScRiPt:ran())",
    "a link by reference": "[Read][1]\n\n[1]: javascript:ran()",
    "a link by itself": "<javascript:ran()>",
    "a link with an encoded colon": "[Read](javascript&#58;ran())",
    "a link with an encoded letter": "[Read](&#x6A;avascript:ran())",
    "a link with a line break": '<a href="java&#10;script:ran()">Read</a>',
    "a link behind the prefix that nbconvert strips": "[Read](files/javascript:ran())",
    "a link with quotes in its title": "[Read](javascript:ran() 'a\" b')",
    "a link twice": '<a href="https://example.org" href="javascript:ran()">Read</a>',
}

# They run nothing by themselves, but load, hide or imitate something.
LURKS = {
    "a page in a link": f"[Read]({PAGE})",
    "a page in an object": f'<object data="{PAGE}"></object>',
    "a page in an embedded thing": f'<embed src="{PAGE}">',
    "a page of the submission": "[My notes](notes.html)",
    "a command of the server": "[Read](/logout)",
    "a command of the server as a picture": "![Plot](/logout?x=.png)",
    "a picture of elsewhere": "![Plot](https://example.org/plot.png)",
    "a drawing as a picture": f"![Plot](data:image/svg+xml;base64,{SVG})",
    "a formula with a link": "$\\href{javascript:ran()}{x}$",
    "a formula with an encoded link": "&#36;&#92;href{javascript:ran()}{x}&#36;",
    "a formula with a class": "$\\class{btn}{x}$",
    "a style": "<style>.score { display: none }</style>",
    "a style sheet": "<link rel=stylesheet href=https://example.org/a.css>",
    "a box over the page": '<div style="position:fixed;top:0;left:0;width:100%;height:100%">Full credit</div>',
    "a button of the page": '<span class="btn btn-success full-credit">Next</span>',
    "a form": "<form action=/formgrader/api><button>Next</button></form>",
    "another base": "<base href=https://example.org>",
    "a page that leaves": "<meta http-equiv=refresh content='9999;url=https://example.org'>",
}

HONEST = {
    "words": 'A token is *cancelled*, **once**; ~~never~~ `twice`. It\'s "so" & a < b > c.  \nAnd a new line.',
    "headings": "# Why\n\nBecause.\n\n## And `how`",
    "a table": "| Call | Says |\n|:----:|-----:|\n| `a < b` | 1 |\n| `cancel()` | **True** |",
    "formulas": "If $a<b$ and $b > c \\& d$, then $$x_1 < \\frac{a}{b}$$ and \\\\(a<b\\\\), \\\\[c>d\\\\].",
    "aligned formulas": "\\begin{align}\na &< b \\\\\nc &> d\n\\end{align}",
    "a script in a formula": f"$${PICTURE}$$",
    "a script in code": "```html\n<script>alert(1)</script>\n```\n\nand `<script>alert(1)</script>`",
    "code": "```python\ndef stop(token: Token) -> None:\n\n    if a < b and c > d:\n        raise Stop('<b>')\n```",
    "code of no language": "```\na < b\n\nc\n```\n\n~~~ nonsense\n<b>\n~~~\n\n    four = spaces < 5",
    "links": "[here](https://example.org/?a=1&b=2 'a title'), <https://example.org>, https://example.org/x and "
    "<me@example.org>, and [there][1], and [above](#Why)\n\n[1]: http://example.org",
    "a picture": f"![A plot](data:image/png;base64,{PNG})",
    "a picture beside the notebook": "![A plot](plots/my%20plot.png)",
    "lists": "1. one\n\n   more\n2. two\n   - a\n   - b\n\n7. seven\n\n- [x] done\n- [ ] to do",
    "quotes": "> a > b\n>\n> > `c < d`\n\nand\n\nterm\n: what it means",
    "tags": "H<sub>2</sub>O, x<sup>2</sup>,<br>a <kbd>Ctrl</kbd> <span style='color: red'>red</span> <u>word</u>",
    "a table in HTML": "<table>\n<tr><th colspan=\"2\">It</th></tr>\n<tr><td align='right'>a&lt;b</td></tr>\n</table>",
    "a box": "<details>\n<summary>More</summary>\n\nThe *rest*.\n\n</details>",
    "a comment": "<!-- TODO look again -->\n\nYes.",
    "a diagram": "```mermaid\ngraph TD; A-->B\n```",
    "other languages": "Größe, 寿司, 🍕 &amp; &lt;b&gt; &copy;",
    "nothing": "",
    "nothing yet": "YOUR ANSWER HERE",
}
