import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.tokens import Vocabulary
from worker.lexical.classes import token_table
from worker.lexical.grammar import Clause, Quoted
from worker.lexical.parser import parse
from worker.lexical.quoting import CLOSED_BY, CLOSED_BY_AT_A_WORDS_EDGE, QUOTATION_MARKS, quote, unquote


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (b" import", '" import"'),
        (b"\n", r'"\n"'),
        (b"\n   ", r'"\n···"'),
        (b" ", '"·"'),
        (b"    ", '"····"'),
        (b'"', '`"`'),
        (b'"""', '`"""`'),
        (b'`"', r'"`\""'),
        (b"\\", r'"\\"'),
        (b"\t", r'"\t"'),
        (b"\xe2\x82", r'"\xe2\x82"'),
        ("é".encode(), '"é"'),
        ("·".encode(), r'"\xc2\xb7"'),
        ("\u202e".encode(), r'"\xe2\x80\xae"'),
        (b"\x00", r'"\x00"'),
        (b"= ", '"=·"'),
    ],
)
def test_tokens_are_shown_so_that_people_see_them(token: bytes, shown: str) -> None:
    assert quote(token) == shown


@given(st.one_of(st.binary(), st.text().map(str.encode), st.text(' \n\t·"\\x').map(str.encode)))
def test_what_was_quoted_is_read_back(token: bytes) -> None:
    assert unquote(quote(token)[1:-1]) == token


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_a_quoted_token_is_one_printable_line_that_no_browser_shortens(token: bytes) -> None:
    inner = quote(token)[1:-1]
    assert inner.isprintable()
    assert "  " not in inner
    assert not inner.endswith(" ")


@pytest.mark.parametrize(
    ("written", "read"),
    [("↵", b"\n"), ("⇥", b"\t"), ("·import", b" import"), (r"\q", b"\\q"), (r"\x4", b"\\x4"), ("\\", b"\\")],
)
def test_what_people_copy_or_mistype_is_read_with_good_will(written: str, read: bytes) -> None:
    assert unquote(written) == read


PAIRS = [(a, b) for a, closings in (CLOSED_BY | CLOSED_BY_AT_A_WORDS_EDGE).items() for b in closings]
PAIRS += [('"', '"'), ("`", "`"), ("``", "``"), ("``", "''"), ("''", "''"), ("‘‘", "’’")]


def quoted(*texts: str) -> tuple[Clause, ...]:
    return (Clause(7, tuple(Quoted(text.encode()) for text in texts)),)


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
@pytest.mark.parametrize("text", ["世界", "world", " a b", "\\n"])
def test_quotation_marks_of_any_kind_are_read(opening: str, closing: str, text: str) -> None:
    wanted = text if text != "\\n" else "\n"
    assert parse(f"fires on {opening}{text}{closing}") == quoted(wanted)
    assert (
        parse(f"fires on {opening}{text}{closing}, {opening}other{closing} and digits")[0].targets[:2]
        == quoted(wanted, "other")[0].targets
    )


@pytest.mark.parametrize(
    ("sentence", "texts"),
    [
        ("fires on「世界」", ["世界"]),  # no space before, as such scripts are written
        ("fires on 「「世界」", ["世界"]),
        ("fires on „a“ and „b”", ["a", "b"]),
        ("fires on “a„", ["a"]),
        ('fires on “a" and digits', ["a"]),
        ("fires on “a“ and “b”", ["a", "b"]),
        ("fires on »a« and «b»", ["a", "b"]),
        ("fires on ”a” and ’b’", ["a", "b"]),
        ("fires on the dog's 'bark' and the cats' \"meow\"", ["bark", "meow"]),
        ("fires on 『「』 and 「『」", ["「", "『"]),
    ],
)
def test_adjacent_marks_are_distinguished(sentence: str, texts: list[str]) -> None:
    assert [t.text.decode() for clause in parse(sentence) for t in clause.targets if isinstance(t, Quoted)] == texts


@given(st.text(alphabet=[*QUOTATION_MARKS, "a", " ", "\\"], max_size=40))
def test_no_heap_of_marks_is_too_much(text: str) -> None:
    parse(f"fires on {text}")


@pytest.mark.parametrize("mark", sorted(QUOTATION_MARKS))
def test_every_mark_is_of_the_class_of_quotation_marks(mark: str) -> None:
    table = token_table(Vocabulary("digest", (mark.encode(), f" {mark}".encode(), b"a")))
    assert table.members["quotation marks"].tolist() == [True, True, False]
