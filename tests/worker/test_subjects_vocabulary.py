import json

from hypothesis import given
from hypothesis import strategies as st

from tests.worker.models import byte_tokenizer
from worker.subjects.vocabulary import vocabulary_of

BYTES = byte_tokenizer()
VOCABULARY = vocabulary_of(BYTES.backend_tokenizer.to_str())


def document(**parts: object) -> str:
    return json.dumps({"added_tokens": [], "pre_tokenizer": None, "decoder": None, "normalizer": None, **parts})


@given(st.text())
def test_byte_level_tokens_are_the_very_bytes_of_the_text(text: str) -> None:
    ids = BYTES.backend_tokenizer.encode(text.replace("<|endoftext|>", "")).ids
    assert b"".join(VOCABULARY.raw(ids)) == text.replace("<|endoftext|>", "").encode()


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
