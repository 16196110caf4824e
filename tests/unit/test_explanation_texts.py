import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.queries.neurons.rows import HIT, HIT_END
from app.web.rendering.texts import token_chips


def marked(text: str) -> str:
    """``[x]`` for a word that a search has found."""
    return text.replace("[", HIT).replace("]", HIT_END)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("fires on cats", "fires on cats"),
        ('on " import" and `"`', "on <code><s> </s>import</code> and <code>&#34;</code>".replace("&#34;", "&quot;")),
        ("[digits] and <b>", "<mark>digits</mark> and &lt;b&gt;"),
        ('on "[self]"', "on <code><mark>self</mark></code>"),
        ('an "open quote', "an &#34;open quote"),
        ("\u202eback", "⟨U+202E⟩back"),
        (f"half {HIT}a mark", "half a mark"),
        (f'on "{"a" * 24}"', f"on <code>{'a' * 24}</code>"),
        (f'on "{"a" * 25}"', f'on <code class="long">{"a" * 25}</code>'),
        ("", ""),
    ],
)
def test_tokens_are_chips_and_hits_are_marked(text: str, html: str) -> None:
    assert str(token_chips(marked(text) if "[" in text else text)) == html


@given(st.text())
def test_no_text_brings_its_own_markup(text: str) -> None:
    assert re.fullmatch(r"(?:[^<>]|</?(?:code|mark|s|u|var)>|<code class=\"long\">)*", str(token_chips(text)))
