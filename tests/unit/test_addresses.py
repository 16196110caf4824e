import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.addresses import base_url_of, network_of, request_url


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("https://api.example.org/v1", "https://api.example.org/v1"),
        (" https://api.example.org/v1/\r\n", "https://api.example.org/v1"),
        ("HTTPS://api.example.org/v1", "https://api.example.org/v1"),
        ("https://api.example.org/v1/chat/completions", "https://api.example.org/v1"),
        ("https://api.example.org/v1/completions/", "https://api.example.org/v1"),
        ("https://api.example.org/v1?api-version=2024-10-21", "https://api.example.org/v1?api-version=2024-10-21"),
        ("http://[::1]:8000/v1#top", "http://[::1]:8000/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_a_base_url_is_brought_to_one_form(typed: str, meant: str) -> None:
    assert base_url_of(typed) == meant


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("http://127.0.0.1:port/v1", "port"),
        ("http://127.0.0.1:99999/v1", "port"),
        ("http://127.0.0.1:0/v1", "port"),
        ("http://[::1/v1", "host"),
        ("api.example.org/v1", "begins with"),
        ("localhost:8000/v1", "begins with"),
        ("ftp://api.example.org/v1", "begins with"),
        ("https:///v1", "names a host"),
        ("", "begins with"),
        ("https://api.example.org/a b", "white space"),
        ("https://api.example.org/\x00", "control"),
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused_in_a_sentence(typed: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        base_url_of(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "https://user:sk-in-the-address@api.example.org/v1",
        "https://sk-in-the-address@api.example.org/v1",
        "https://api.example.org/v1?key=sk-in-the-address",
        "https://api.example.org/v1?Api-Key=sk-in-the-address",
        "https://api.example.org/v1?x=1&access_token=sk-in-the-address",
        "https://api.example.org/v1?x-goog-api-key=sk-in-the-address",
        "https://api.example.org/v1?subscription-key=sk-in-the-address&clientSecret=1",
        "https://user:sk-in-the-address@api.example.org:port/v1",
    ],
)
def test_a_key_in_a_base_url_is_refused_and_not_repeated(typed: str) -> None:
    with pytest.raises(ValueError, match=r"key|port") as refused:
        base_url_of(typed)
    assert "sk-in-the-address" not in str(refused.value)


@given(st.text())
def test_any_text_is_a_base_url_or_is_refused(typed: str) -> None:
    try:
        once = base_url_of(typed)
    except ValueError:
        return
    assert base_url_of(once) == once


def test_a_request_goes_to_the_path_before_the_query() -> None:
    address = request_url("https://h/v1/?api-version=1", "/chat/completions")
    assert address == "https://h/v1/chat/completions?api-version=1"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("127.0.0.0/8", "127.0.0.0/8"),
        (" 127.0.0.1/8 ", "127.0.0.0/8"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("fd00::7/8", "fd00::/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
    ],
)
def test_a_network_may_be_named_by_an_address_in_it(typed: str, meant: str) -> None:
    assert network_of(typed) == meant


@pytest.mark.parametrize("typed", ["", "localhost", "127.0.0.1/40", "10.0.0.0/8,127.0.0.0/8", "*"])
def test_what_is_no_network_is_refused_in_a_sentence(typed: str) -> None:
    with pytest.raises(ValueError, match="not a network"):
        network_of(typed)
