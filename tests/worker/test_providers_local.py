import copy
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from app.domain.language_models import Capability, Outcome
from app.errors import ProviderError
from tests.worker.tiny_models import JOINING, KINDS, save_tiny, tiny_model, tiny_tokenizer
from worker.providers.base import Attempt, ChatRequest, Message, Reply, ScoreTextRequest, Watch
from worker.providers.local import LocalProvider, load_local
from worker.providers.local_decoding import Continuation
from worker.providers.local_scoring import Row, score_rows
from worker.providers.prefix_cache import PrefixCache

NUMBERS = tuple(str(n) for n in range(11))
PREFIX = "a neuron that fires on numbers: 1 2 3\n"
LINES = ("the\t?\n", "cat\t?\n sat\t?\n on\t?\n", " import\t?\n os\t?\n")


def provider_of(kind: str, **values: int) -> LocalProvider:
    return LocalProvider("tiny", f"tiny-{kind}", tiny_model(kind), tiny_tokenizer(), batch_tokens=values.get("batch"))


def scored(text: str, prefix: str = PREFIX) -> ScoreTextRequest:
    places = tuple(len(prefix) + i for i, c in enumerate(text) if c == "?")
    return ScoreTextRequest("simulate", prefix, text, places, NUMBERS)


def asks(text: str, **values: float) -> ChatRequest:
    seed, temperature = int(values.get("seed", 0)), values.get("temperature", 0.0)
    return ChatRequest("explain", (Message("user", text),), max_tokens=12, temperature=temperature, seed=seed)


def alone(model: PreTrainedModel, request: ScoreTextRequest) -> list[list[float]]:
    """The plain computation: one whole text at a time, no cache, no padding."""
    tokenizer = tiny_tokenizer()
    rows = []
    for at in request.answer_at:
        before = tokenizer((request.prefix + request.text)[:at], return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logprobs = model(before).logits[0, -1].log_softmax(-1)
        rows.append([float(logprobs[tokenizer(n)["input_ids"][0]]) for n in NUMBERS])
    return rows


def expected(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows).softmax(-1) @ torch.arange(11.0)


def values_of(reply: Reply) -> list[list[float]]:
    return [[a.logprobs[n] for n in NUMBERS] for a in reply.alternatives]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 10_000])
def test_cached_and_batched_scores_equal_the_plain_computation(kind: str, batch: int) -> None:
    requests = [scored(line) for line in LINES]
    replies = provider_of(kind, batch=batch).score_texts(requests)
    for request, reply in zip(requests, replies, strict=True):
        plain = alone(tiny_model(kind), request)
        assert torch.tensor(values_of(reply)) == pytest.approx(torch.tensor(plain), abs=1e-4)
        assert expected(values_of(reply)) == pytest.approx(expected(plain), abs=1e-3)
    different = expected(alone(tiny_model(kind), scored(LINES[1], prefix="a cat\n")))
    assert (different - expected(values_of(replies[1]))).abs().max() > 0.1, "the models' answers must differ by prompt"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_that_was_used_for_other_prompts_changes_nothing(kind: str) -> None:
    provider = provider_of(kind)
    provider.score_texts([scored(LINES[0], prefix="a neuron that fires on cats\n")])
    provider.chat([asks("the cat")])
    (reply,) = provider.score_texts([scored(LINES[1])])
    assert expected(values_of(reply)) == pytest.approx(expected(alone(tiny_model(kind), scored(LINES[1]))), abs=1e-3)


def test_a_prefix_is_computed_once_and_reused_by_the_next_call() -> None:
    provider = provider_of("llama")
    first, second = provider.score_texts([scored(LINES[0]), scored(LINES[1])])
    n_prefix = len(tiny_tokenizer()(PREFIX)["input_ids"])
    assert first.usage is not None
    assert second.usage is not None
    assert {first.usage.tokens_cached, second.usage.tokens_cached} == {0, n_prefix}
    (third,) = provider.score_texts([scored(LINES[2])])
    assert third.usage is not None
    assert third.usage.tokens_cached >= n_prefix - 1


def test_an_answer_that_is_no_token_of_its_own_is_refused() -> None:
    (reply,) = provider_of("gpt2").score_texts([ScoreTextRequest("s", "", "the cat", (5,), NUMBERS)])
    assert reply.outcome is Outcome.UNPARSABLE
    assert "no boundary at character 5" in (reply.error or "")


def test_markers_of_the_tokenizer_inside_a_text_are_read_as_text() -> None:
    (reply,) = provider_of("gpt2").score_texts([scored("<end>\t?\n")])
    assert reply.usage is not None
    assert reply.usage.tokens_in > len(tiny_tokenizer()(PREFIX + "\t?\n")["input_ids"]) + 1


def test_whether_ten_is_one_token_is_known() -> None:
    provider = provider_of("llama")
    assert Capability.WHOLE_TEN in provider.capabilities
    assert provider.answer_id("7") == tiny_tokenizer()("7")["input_ids"][0]
    assert provider.answer_id("77") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_greedy_chat_equals_plain_generation(kind: str) -> None:
    texts = ["the", "the cat sat on the mat and the cat", "import os"]
    replies = provider_of(kind).chat([asks(text) for text in texts])
    for text, reply in zip(texts, replies, strict=True):
        ids = tiny_tokenizer()(f"user:\n{text}\n\nassistant:\n", return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            for _ in range(12):
                ids = torch.cat([ids, tiny_model(kind)(ids).logits[:, -1:].argmax(-1)], dim=1)
        assert reply.text == tiny_tokenizer().decode(ids[0, -12:], skip_special_tokens=True)
        assert reply.outcome is Outcome.TRUNCATED


def test_a_sampled_text_depends_on_its_seed_and_not_on_its_company() -> None:
    provider = provider_of("llama")
    wanted = asks("the cat", seed=5, temperature=1.0)
    (lonely,) = provider.chat([wanted])
    among = provider.chat(
        [asks("a much longer prompt about other things"), wanted, asks("on", seed=6, temperature=1.0)]
    )
    assert among[1].text == lonely.text
    assert provider.chat([asks("the cat", seed=6, temperature=1.0)])[0].text != lonely.text


def test_alternatives_of_a_chat_are_log_probabilities() -> None:
    request = ChatRequest("s", (Message("user", "number?"),), max_tokens=1, top_logprobs=5)
    (reply,) = provider_of("gpt2").chat([request])
    assert reply.outcome is Outcome.OK
    assert len(reply.alternatives) == 1
    assert all(p < 0 for p in reply.alternatives[0].logprobs.values())


def test_a_chat_template_is_used_where_there_is_one() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}>"
    seen: list[Attempt] = []
    try:
        provider_of("llama").chat([asks("hello")], watch=Watch(after=seen.append))
    finally:
        tokenizer.chat_template = None
    assert seen[0].wire["prompt"] == "[user] hello\n>"


def test_a_prompt_beyond_the_context_fails_alone() -> None:
    provider = LocalProvider("tiny", "tiny", tiny_model("llama", context=64), tiny_tokenizer())
    long, short = provider.score_texts([scored("word\t?\n" * 40), scored(LINES[0])])
    assert long.outcome is Outcome.FAILED
    assert "more than the 64" in (long.error or "")
    assert short.outcome is Outcome.OK


def test_out_of_memory_halves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    rows = [Row([5, 6, 7, 8 + n], [3]) for n in range(5)]
    whole = score_rows(model, PrefixCache(model), rows, [5, 6], 1000)
    plain, sizes = model.forward, list[int]()

    def narrow(*_: object, **values: torch.Tensor) -> object:
        sizes.append(len(values["input_ids"]))
        if len(values["input_ids"]) > 2:
            raise torch.OutOfMemoryError("no room")
        return plain(**values)

    monkeypatch.setattr(model, "forward", narrow)
    halved = score_rows(model, PrefixCache(model), rows, [5, 6], 1000)
    assert sizes == [1, 5, 2, 3, 1, 2]
    for one, other in zip(whole, halved, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_a_provider_is_loaded_from_a_folder(tmp_path: Path) -> None:
    provider = load_local("tiny", str(save_tiny(tmp_path)), device="cpu", options={})
    assert provider.score_texts([scored(LINES[0])])[0].outcome is Outcome.OK


def test_a_folder_without_a_model_is_a_permanent_error(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="cannot be loaded") as caught:
        load_local("tiny", str(tmp_path), device="cpu", options={})
    assert caught.value.permanent


def test_signs_keep_their_position_where_a_tokenizer_joins_them_to_what_follows() -> None:
    """Newer tokenizers join "?" to the line end after it and a tab to the word after it, never a tab to "?"."""
    joining = tiny_tokenizer(JOINING)
    assert "?Ċ" in joining.tokenize("a\t?\n")
    assert "ĉcat" in joining.tokenize("a\tcat\n")
    request = scored(LINES[1])
    (reply,) = LocalProvider("tiny", "tiny", tiny_model("llama"), joining).score_texts([request])
    assert reply.outcome is Outcome.OK
    assert [a.token for a in reply.alternatives] == ["?\n"] * 3
    word = ScoreTextRequest("s", "", "a\tcat\n", (2,), NUMBERS)
    (refused,) = LocalProvider("tiny", "tiny", tiny_model("llama"), joining).score_texts([word])
    assert refused.outcome is Outcome.UNPARSABLE


TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ m.role }}: {{ m.content }}\n{% endfor %}"
)


def templated(template: str) -> LocalProvider:
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = template
    return LocalProvider("tiny", "tiny-llama", tiny_model("llama"), tokenizer)


def test_instructions_begin_the_first_message_where_the_template_knows_no_system_role() -> None:
    seen: list[Attempt] = []
    messages = (
        Message("system", "the cat"),
        Message("user", "sat"),
        Message("assistant", "on"),
        Message("user", "mat"),
    )
    templated(TEMPLATE).chat([ChatRequest("explain", messages, max_tokens=3)], watch=Watch(after=seen.append))
    assert seen[0].wire["prompt"] == "user: the cat\n\nsat\nassistant: on\nuser: mat\n"


def test_a_template_that_refuses_any_conversation_is_a_permanent_error() -> None:
    with pytest.raises(ProviderError, match="never") as caught:
        templated("{{ raise_exception('never') }}").chat([asks("the cat")])
    assert caught.value.permanent


class Says(LocalProvider):
    """A provider whose model writes a given text; the tokenizer is the real one."""

    def says(self, text: str) -> Reply:
        ids = self._tokenizer(text)["input_ids"]
        return self._continued(Continuation([0], len(ids) + 1, 0.0, 0, 0, written=list(ids), is_finished=True))


def test_thoughts_of_a_local_model_are_kept_apart_also_where_their_marks_are_special_tokens() -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer())
    for mark in ("<think>", "</think>"):
        tokenizer.add_special_tokens({"additional_special_tokens": [mark]}, replace_extra_special_tokens=False)
    provider = Says("tiny", "tiny-llama", tiny_model("llama"), tokenizer)
    whole = provider.says("<think>the cat</think>the mat<end>")
    assert (whole.outcome, whole.text, whole.reasoning) == (Outcome.OK, "the mat", "the cat")
    assert provider.says("the mat<end>").text == "the mat"
    open_ended = provider.says("<think>the cat")
    assert (open_ended.outcome, open_ended.text) == (Outcome.TRUNCATED, "")
    assert provider.says("<think>the cat</think>").outcome is Outcome.UNPARSABLE


def broken(value: float) -> LocalProvider:
    """A model with one weight that is not a finite number, as half precision leaves behind."""
    model = deepcopy(tiny_model(KINDS[0]))  # other tests share the original
    with torch.no_grad():
        dict(model.named_parameters())["lm_head.weight"].view(-1)[0] = value
    return LocalProvider("tiny", "tiny-broken", model, tiny_tokenizer())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_a_failure_and_no_text(value: float) -> None:
    provider = broken(value)
    (reply,) = provider.chat([asks("the cat")])
    assert (reply.outcome, reply.text) == (Outcome.FAILED, "")
    assert "logits that are not finite numbers" in str(reply.error)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_likelihoods_that_are_not_finite_are_a_failure_of_that_text(value: float) -> None:
    (reply,) = broken(value).score_texts([scored(LINES[0])])
    assert (reply.outcome, reply.alternatives) == (Outcome.FAILED, ())
    assert "logits that are not finite numbers" in str(reply.error)
