"""Random models of a few thousand weights with a tokenizer of their own, made in a moment."""

from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers import PreTrainedTokenizerFast as Fast

TEXT = [
    "a\tcat\n",
    "a\t?\n",
    "the cat sat on the mat\t0\n",
    "import os\t10\n",
    "a neuron that fires on numbers: 1 2 3 4 5 6 7 8 9 10\n",
]
KINDS = ("llama", "gpt2")
JOINING = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""How tokenizers since GPT-4 cut text into words."""


@lru_cache
def tiny_tokenizer(words: str | None = None) -> Fast:
    """Byte-level BPE, some hundred tokens, "10" among them; cut into words as GPT-2 does, or by an expression."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if words is not None:
        cut = pre_tokenizers.Split(Regex(words), "isolated")
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        TEXT * 3, trainers.BpeTrainer(vocab_size=400, special_tokens=["<end>"], initial_alphabet=alphabet)
    )
    return Fast(tokenizer_object=bpe, eos_token="<end>")  # type: ignore[no-untyped-call]  # the library leaves it untyped


@lru_cache
def tiny_model(kind: str, context: int = 4096) -> PreTrainedModel:
    """A random model, equal at every call; its weights are large, so that its outputs differ by position."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(_gpt2(context)) if kind == "gpt2" else LlamaForCausalLM(_llama(context))
    model.train(False)
    return model


def _gpt2(context: int) -> GPT2Config:
    size = len(tiny_tokenizer())
    return GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=context, eos_token_id=0, initializer_range=0.4
    )


def _llama(context: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tiny_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        eos_token_id=0,
        initializer_range=0.4,
    )


def save_tiny(folder: Path, kind: str = "llama") -> Path:
    """The model and its tokenizer as files, as a user has them."""
    tiny_model(kind).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
