import json
import shlex

from app.domain.curl import as_curl

BODY = {"model": "m", "messages": [{"role": "user", "content": 'it\'s $HOME; `id` "quoted"\n'}]}


def test_a_shell_reads_the_body_as_it_was_and_runs_nothing_of_it() -> None:
    words = shlex.split(as_curl("https://api.example.org/v1/", BODY, key_variable="TINY_KEY"))
    assert words[:2] == ["curl", "https://api.example.org/v1/chat/completions"]
    assert json.loads(words[-1]) == BODY
    assert "authorization: Bearer $TINY_KEY" in words


def test_a_prompt_goes_to_completions() -> None:
    assert "/v1/completions" in as_curl("http://127.0.0.1/v1", {"prompt": "x"}, key_variable=None)
