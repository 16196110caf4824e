"""The demo model's tokenizer: byte-level BPE with GPT-2's pre-tokenisation and one special token."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from app.domain.arrays import Int64s

END_OF_TEXT = "<|endoftext|>"
START = 0  # the id of END_OF_TEXT: special tokens come first
VOCABULARY = 4096


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Return a BPE tokenizer of 4,096 tokens trained on `texts`; token 0 is the special one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`, so that AutoTokenizer loads the folder."""
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(folder)


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the token ids of one document, without the special token; its spelling in the text is text."""
    tokenizer.encode_special_tokens = True
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def encode_stream(tokenizer: Tokenizer, texts: Iterable[str]) -> Int64s:
    """Return all documents as one row of token ids, the special token in front of each."""
    ids: list[int] = []
    for text in texts:
        ids.append(START)
        ids.extend(encode(tokenizer, text))
    return np.array(ids, dtype=np.int64)
