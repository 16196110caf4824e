import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from app.web.rendering.signs import exact, shown, with_signs
from app.web.rendering.templating import Renderer

HIDDEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
MOVING = {chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)}


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("fires on \u202eback", "fires on ⟨U+202E⟩back"),
        ("\u2066isolated\u2069", "⟨U+2066⟩isolated⟨U+2069⟩"),
        ("a\u200fb\u061cc", "a⟨U+200F⟩b⟨U+061C⟩c"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
        ("soft\xadhyphen", "soft⟨U+00AD⟩hyphen"),
        ("bell\x07 del\x7f", "bell⟨U+0007⟩ del⟨U+007F⟩"),
        ("\u2028lines", "⟨U+2028⟩lines"),
        ("\U000e0041tag", "⟨U+E0041⟩tag"),
        ("lonely\u200d", "lonely⟨U+200D⟩"),
        (" \u200djoiner", " ⟨U+200D⟩joiner"),
    ],
)
def test_what_does_not_show_or_moves_its_neighbours_is_a_sign(text: str, signs: str) -> None:
    assert with_signs(text) == signs


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two\nlines\tand a tab",
        "👩\u200d💻 works",
        "❤\ufe0f",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cخواهم",
        "שלום",
        "世界",
        "1\u202f234,5\u00a0%",
        "e\u0301",
    ],
)
def test_what_writing_needs_stays(text: str) -> None:
    assert with_signs(text) == text


@given(st.text())
def test_no_text_keeps_a_hidden_character(text: str) -> None:
    kept = with_signs(text)
    assert {c for c in kept if c not in "\n\t" and unicodedata.category(c) in HIDDEN} == set()
    assert not MOVING & set(kept)


def test_templates_print_texts_with_signs_and_leave_all_else() -> None:
    assert shown("\u202e") == "⟨U+202E⟩"
    assert shown(Markup("<b>\u202e</b>")) == Markup("<b>\u202e</b>")
    assert shown(3) == 3


@pytest.mark.parametrize(
    "template",
    [
        "{% trans name=page %}by {{ name }}{% endtrans %}",
        '{{ _("by %(name)s", name=page) }}',
        '{{ ngettext("by %(name)s", "%(num)s by %(name)s", 1, name=page) }}',
        '{{ pgettext("author", "by %(name)s", name=page) }}',
        "{% macro by(name) %}{% trans %}by {{ name }}{% endtrans %}{% endmacro %}{{ by(page) }}",
    ],
)
def test_sentences_print_their_variables_with_signs(template: str) -> None:
    for environment in Renderer().environments.values():
        assert environment.from_string(template).render(page="\u202e<b>") == "by ⟨U+202E⟩&lt;b&gt;"


def test_a_field_of_a_form_gives_back_what_was_typed() -> None:
    assert exact('"\u202e<') == Markup("&#34;\u202e&lt;")
