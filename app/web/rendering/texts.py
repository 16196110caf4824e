"""Explanations as pages show them: quoted tokens as chips, the words of a search marked."""

import re
from functools import lru_cache

from markupsafe import Markup, escape

from app.queries.neurons.rows import HIT, HIT_END
from app.web.heat.glyphs import visible
from app.web.rendering.signs import with_signs

_QUOTED = re.compile(r'"(?P<plain>[^"\n]{1,60})"|`(?P<back>[^`\n]{1,60})`')
"""As the lexical language quotes tokens; a language model's text does mostly the same."""
LONGEST_WHOLE = 24
"""Characters of a token that is kept on one line; a longer one may be broken, so that it does not widen the page."""
LONGEST_KEPT = 500
"""Characters of an explanation whose HTML is cached; lists show no longer ones."""
_WHOLE, _LONG = Markup("<code>{}</code>"), Markup('<code class="long">{}</code>')
_HITS = re.compile(f"{HIT}([^{HIT}{HIT_END}]*){HIT_END}")


def token_chips(text: str) -> Markup:
    """HTML of an explanation, whose hits have marks around them. Lists show the same texts again and again."""
    return _chips(text) if len(text) <= LONGEST_KEPT else _chips.__wrapped__(text)


@lru_cache(maxsize=4096)
def _chips(text: str) -> Markup:
    parts, end = [], 0
    for found in _QUOTED.finditer(text):
        parts.append(_marked(text[end : found.start()]))
        quoted = found["plain"] or found["back"]
        element = _WHOLE if len(quoted) <= LONGEST_WHOLE else _LONG
        parts.append(element.format(_chip(quoted)))
        end = found.end()
    parts.append(_marked(text[end:]))
    return Markup("").join(parts)


def _marked(text: str) -> Markup:
    parts, end = [], 0
    for found in _HITS.finditer(text):
        parts.append(escape(_plain(text[end : found.start()])))
        parts.append(Markup("<mark>{}</mark>").format(_plain(found[1])))
        end = found.end()
    parts.append(escape(_plain(text[end:])))
    return Markup("").join(parts)


def _plain(text: str) -> str:
    """With signs for what would not show; a mark without its other half is none."""
    return with_signs(text.replace(HIT, "").replace(HIT_END, ""))


def _chip(quoted: str) -> Markup:
    html = Markup(visible(quoted.replace(HIT, "").replace(HIT_END, "")))  # noqa: S704 - escaped there
    return Markup("<mark>{}</mark>").format(html) if HIT in quoted or HIT_END in quoted else html
