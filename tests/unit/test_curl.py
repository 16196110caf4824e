import json
import shlex

from app.web.provenance.curl import as_curl

BODY = {"model": "m", "messages": [{"role": "user", "content": 'it\'s $HOME; `id` "quoted"\n'}]}


def test_a_shell_reads_the_body_as_it_was_and_runs_nothing_of_it() -> None:
    words = shlex.split(as_curl("https://api.example.org/v1/", BODY, "TINY_KEY").replace("\\\n", ""))
    assert words[:2] == ["curl", "https://api.example.org/v1/chat/completions"]
    assert json.loads(words[-1]) == BODY
    assert "Authorization: Bearer $TINY_KEY" in words


def test_a_prompt_goes_to_completions_without_a_key_where_none_is_named() -> None:
    command = as_curl("http://127.0.0.1/v1", {"prompt": "x"}, None)
    assert "/v1/completions" in command
    assert "Authorization" not in command
