import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.models import Model as TokenizerModel

from tests.worker.models import byte_tokenizer
from tests.worker.tiny_models import JOINING, tiny_tokenizer
from worker.subjects.vocabulary import vocabulary_of

BYTES = byte_tokenizer()
VOCABULARY = vocabulary_of(BYTES.backend_tokenizer.to_str())


def document(**parts: object) -> str:
    return json.dumps({"added_tokens": [], "pre_tokenizer": None, "decoder": None, "normalizer": None, **parts})


@given(st.text())
def test_byte_level_tokens_are_the_very_bytes_of_the_text(text: str) -> None:
    ids = BYTES.backend_tokenizer.encode(text.replace("<|endoftext|>", "")).ids
    assert b"".join(VOCABULARY.raw(ids)) == text.replace("<|endoftext|>", "").encode()


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_byte_level_tokens_after_another_cut_into_words_are_the_bytes_too(text: str) -> None:
    backend = tiny_tokenizer(JOINING).backend_tokenizer
    ids = ids_of(backend, text.replace("<end>", ""))
    assert b"".join(vocabulary_of(backend.to_str()).raw(ids)) == text.replace("<end>", "").encode()


def test_special_tokens_stand_for_their_text() -> None:
    assert VOCABULARY.tokens[0] == b"<|endoftext|>"


def test_sentencepiece_spaces_and_bytes() -> None:
    vocabulary = {"<unk>": 0, "<0x0A>": 1, "\u2581the": 2, "<0xE2>": 3, "<b>": 4}
    decoder = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}]}
    tokens = vocabulary_of(document(model={"type": "BPE", "vocab": vocabulary, "byte_fallback": True}, decoder=decoder))
    assert tokens.tokens == (b"<unk>", b"\n", b" the", b"\xe2", b"<b>")


def test_unigram_vocabularies_are_lists() -> None:
    model = {"type": "Unigram", "vocab": [["<pad>", 0.0], ["\u2581a", -1.0]]}
    assert vocabulary_of(document(model=model, decoder={"type": "Metaspace"})).tokens == (b"<pad>", b" a")


def test_word_pieces_begin_with_a_space_unless_they_continue() -> None:
    model = {"type": "WordPiece", "vocab": {"quot": 0, "##ed": 1}}
    assert vocabulary_of(document(model=model)).tokens == (b" quot", b"ed")


def test_ids_that_no_token_has_are_empty() -> None:
    model = {"type": "WordLevel", "vocab": {"a": 0, "b": 2}}
    assert vocabulary_of(document(model=model)).tokens == (b"a", b"", b"b")


RUNS = ["\u2581\u2581", "\u2581\u2581\u2581", "\n\n"]
"""What Gemma lists among its added tokens in addition to its vocabulary."""
SPACES = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])


def bytewise(sign: str = "\u2581") -> TokenizerModel:
    """A vocabulary of bytes, letters and runs of spaces, as SentencePiece with byte fallback has it."""
    words = ["<unk>", "<bos>", *(f"<0x{byte:02X}>" for byte in range(256)), *"abcé\n", sign, sign * 2, sign * 3, "\n\n"]
    merges = [(sign, sign), (sign * 2, sign), ("\n", "\n")]
    vocabulary = {word: i for i, word in enumerate(words)}
    return BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>")


def gemma() -> Tokenizer:
    tokenizer = Tokenizer(bytewise())
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = SPACES
    tokenizer.add_tokens([AddedToken(run, normalized=False, special=False) for run in RUNS])
    return tokenizer


def llama_2() -> Tokenizer:
    tokenizer = Tokenizer(bytewise())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = SPACES
    return tokenizer


def metaspace(sign: str = "\u2581") -> Tokenizer:
    tokenizer = Tokenizer(bytewise(sign))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=sign, prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Metaspace(replacement=sign, prepend_scheme="never", split=False)
    return tokenizer


TOKENIZERS = {"gemma": gemma(), "llama_2": llama_2(), "metaspace": metaspace(), "another sign": metaspace("_")}


def ids_of(tokenizer: Any, text: str) -> list[int]:
    tokenizer.encode_special_tokens = True
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=st.text(st.one_of(st.sampled_from(" \nab"), st.characters(blacklist_categories=["Cs"]))))
def test_tokens_of_sentencepiece_are_the_bytes_of_the_text(name: str, text: str) -> None:
    # The sign itself cannot be distinguished from the space that it means.
    text = text.replace("\u2581", "").replace("_", "")
    tokenizer = TOKENIZERS[name]
    raw = b"".join(vocabulary_of(tokenizer.to_str()).raw(ids_of(tokenizer, text)))
    assert raw == (b" " if name == "llama_2" and text else b"") + text.encode()


def test_runs_of_spaces_are_spaces_though_they_are_added_tokens() -> None:
    tokenizer = TOKENIZERS["gemma"]
    ids = ids_of(tokenizer, "a  b   c\n\na")
    assert {tokenizer.token_to_id(run) for run in RUNS} <= set(ids)
    assert vocabulary_of(tokenizer.to_str()).text(ids) == "a  b   c\n\na"


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ({"content": "\u2581x", "normalized": True, "special": False}, b" x"),
        ({"content": "\u2581x", "normalized": False, "special": False}, b"\xe2\x96\x81x"),
        ({"content": "<\u2581x>", "normalized": True, "special": True}, b"<\xe2\x96\x81x>"),
    ],
)
def test_an_added_token_outside_the_vocabulary_is_what_is_looked_for(added: dict[str, Any], expected: bytes) -> None:
    replaces = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    model = {"type": "BPE", "vocab": {"a": 0}}
    tokens = vocabulary_of(document(model=model, normalizer=replaces, added_tokens=[{"id": 1, **added}])).tokens
    assert tokens == (b"a", expected)


def test_added_tokens_of_byte_level_vocabularies() -> None:
    added = [
        {"id": 0, "content": "\u0120the", "special": False},  # in the vocabulary: the bytes it stands for there
        {"id": 1, "content": "    ", "special": False, "normalized": True},
        {"id": 2, "content": "\u00e9", "special": False},
    ]
    vocabulary = {"\u0120the": 0}
    found = vocabulary_of(
        document(model={"type": "BPE", "vocab": vocabulary}, decoder={"type": "ByteLevel"}, added_tokens=added)
    )
    assert found.tokens == (b" the", b"    ", "\u00e9".encode())


def test_marks_at_the_end_of_words_are_spaces() -> None:
    model = {"type": "BPE", "vocab": {"he": 0, "llo</w>": 1}, "end_of_word_suffix": "</w>"}
    assert vocabulary_of(document(model=model, decoder={"type": "BPEDecoder"})).tokens == (b"he", b"llo ")


def test_word_pieces_may_have_another_prefix() -> None:
    model = {"type": "WordPiece", "vocab": {"quot": 0, "@@ed": 1}, "continuing_subword_prefix": "@@"}
    assert vocabulary_of(document(model=model)).tokens == (b" quot", b"ed")
