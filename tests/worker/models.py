"""Tiny random models of every known family, as folders that transformers loads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

VOCABULARY = 260
_SMALL: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
_LLAMA: dict[str, Any] = {
    **_SMALL,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
_GEMMA: dict[str, Any] = {**_LLAMA, "head_dim": 8}

FAMILIES: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(**_SMALL, n_layer=2, n_embd=16, n_head=2, n_positions=64)  # n_inner is 4 * 16
    ),
    "gpt_neo": lambda: hf.GPTNeoForCausalLM(
        hf.GPTNeoConfig(
            **_SMALL, hidden_size=16, num_layers=2, num_heads=2, max_position_embeddings=64,
            attention_types=[[["global", "local"], 1]],
        )
    ),
    "gpt_neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**{**_LLAMA, "num_key_value_heads": None})),
    "opt": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(
            **_SMALL, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64, word_embed_proj_dim=16,
        )
    ),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**_LLAMA)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**_LLAMA)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**_LLAMA)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**_LLAMA, head_dim=8)),
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(**_GEMMA)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**_GEMMA)),
    "gemma3_text": lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**_GEMMA)),
    "phi": lambda: hf.PhiForCausalLM(hf.PhiConfig(**_LLAMA)),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**_LLAMA)),
}  # fmt: skip

_MOE: dict[str, Any] = {
    **_LLAMA, "num_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 8, "decoder_sparse_step": 1,
    "shared_expert_intermediate_size": 12,
}  # fmt: skip
OTHERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: hf.BertLMHeadModel(
        hf.BertConfig(
            **_SMALL, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64,
        )
    ),
    "bidirectional_gemma": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(**_GEMMA, use_bidirectional_attention=True)
    ),
    "bloom": lambda: hf.BloomForCausalLM(hf.BloomConfig(**_SMALL, hidden_size=16, n_layer=2, n_head=2)),
    "qwen2_moe": lambda: hf.Qwen2MoeForCausalLM(hf.Qwen2MoeConfig(**_MOE)),
    "mixtral": lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**_LLAMA, num_local_experts=4, num_experts_per_tok=1)),
}  # fmt: skip
"""Models outside the registry of families."""


def byte_tokenizer(bos: str | None = None, size: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """A token for each byte, after the special token 0."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0, **{c: i for i, c in enumerate(alphabet, start=1)}}
    vocabulary.update((f"unused {i}", i) for i in range(len(vocabulary), size))
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast: Any = PreTrainedTokenizerFast  # untyped
    result: PreTrainedTokenizerFast = fast(tokenizer_object=tokenizer, bos_token=bos, eos_token="<|endoftext|>")
    return result


def save_model(
    folder: Path, family: str = "gpt2", bos: str | None = None, tokens: int = VOCABULARY, spread: float | None = 0.3
) -> Path:
    """A model of a family and a byte tokenizer of so many tokens.

    ``spread`` is the standard deviation of all weights; None keeps those that transformers initialises.
    """
    torch.manual_seed(0)
    model = {**FAMILIES, **OTHERS}[family]()
    if spread is not None:  # by default large enough that activations differ from each other
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=spread)
    model.save_pretrained(folder)
    byte_tokenizer(bos, tokens).save_pretrained(folder)
    return folder
