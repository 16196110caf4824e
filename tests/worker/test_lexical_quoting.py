import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.lexical.quoting import quote, unquote


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
