"""A loaded subject for steps that run it: one neuron's activations, contexts, outputs."""

import threading
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from app.domain.activations import ActivationRecord
from app.domain.arrays import Float32s, Int32s
from app.errors import SubjectError
from worker.subjects.corpus_excerpts import CorpusExcerpts
from worker.subjects.loaded import LoadedSubject


class LiveModel:
    """Runs texts and excerpts one at a time, each from its start, as a collection does.

    Threads may share it: they take turns, since a hook of one would be seen by the pass of another. Every method raises
    SubjectError where the model gives numbers that are not finite: beside a threshold they would count as silent.
    ``slug`` is the subject's name in addresses, ``context_length`` that of its collection, in tokens, ``corpus`` the
    excerpts of its collection, where they are kept on this machine.
    """

    def __init__(
        self, subject: LoadedSubject, *, slug: str, context_length: int, corpus: CorpusExcerpts | None = None
    ) -> None:
        self.slug = slug
        self._corpus = corpus
        self._subject = subject
        self._context_length = context_length
        self._turn = threading.Lock()

    @property
    def device(self) -> torch.device:
        """The device that holds the model's weights."""
        return self._subject.device

    @property
    def n_bytes(self) -> int:
        """Bytes of the model's parameters and buffers."""
        return self._subject.n_bytes

    def activations(self, texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        """One neuron's activations on each text, cut to the context length; excerpt ids -1, -2, ...

        Raises SubjectError for a text without tokens and for a neuron that does not exist.
        """
        self._check(layer, index)
        rows = [ids[: self._context_length] for ids in self._subject.encode(texts)]
        return tuple(
            ActivationRecord(-1 - rank, ids, self._of_neuron(ids, layer, index)) for rank, ids in enumerate(rows)
        )

    def corpus_excerpts(self, n: int, *, seed: int) -> tuple[Int32s, ...]:
        """Up to ``n`` excerpts of the collected corpus [T], uniform without replacement, equal for equal seeds.

        None where the text is not kept on this machine.
        """
        if self._corpus is None:
            return ()
        n_excerpts = self._corpus.n_excerpts
        chosen = np.random.default_rng(seed).choice(n_excerpts, size=min(n, n_excerpts), replace=False)
        return tuple(self._corpus.tokens(np.sort(chosen).astype(np.int64)))

    def excerpt_activations(self, excerpts: Sequence[Int32s], *, layer: int, index: int) -> tuple[Float32s, ...]:
        """One neuron's activations on each of N excerpts [T], [T] each. Raises SubjectError for no such neuron."""
        self._check(layer, index)
        return tuple(self._of_neuron(ids, layer, index) for ids in excerpts)

    def peaks(self, text: str) -> tuple[Int32s, tuple[tuple[Float32s, Int32s], ...]]:
        """The tokens [T] of a text, cut to the context length, and of each layer's N neurons peak [N] and token [N].

        Raises SubjectError for a text without tokens.
        """
        ids = self._subject.encode([text])[0][: self._context_length]
        found: dict[int, tuple[Float32s, Int32s]] = {}

        def on_layer(layer: int, own: Tensor) -> None:
            values, tokens = own[0].max(dim=0)
            found[layer] = _array(values), tokens.cpu().numpy().astype(np.int32)

        with self._turn:
            self._subject.activations(_batch(ids), on_layer)
        return ids, tuple((self._finite(found[layer][0]), found[layer][1]) for layer in sorted(found))

    def contexts(self, excerpts: Sequence[Int32s], positions: Sequence[int], *, layer: int) -> Float32s:
        """The hidden state behind a layer (0-based) at one position of each of N excerpts [T]. [N, D]"""
        self._check(layer, 0)
        states = [self._hidden(ids, layer)[at] for ids, at in zip(excerpts, positions, strict=True)]
        return self._finite(np.stack([_array(state) for state in states]))

    def log_probabilities(
        self, excerpt: Int32s, *, layer: int, index: int, activations: Float32s | None = None
    ) -> Float32s:
        """Log-probabilities (nats) of the next token at every position of an excerpt [T]. [T, V]

        With ``activations`` [T], in the model's units, these replace the neuron's own. Raises
        SubjectError where they are not as many as the tokens.
        """
        self._check(layer, index)
        if activations is not None and activations.shape != excerpt.shape:
            raise SubjectError(f"{activations.size} activations for {excerpt.size} tokens.")

        def on_layer(at: int, own: Tensor) -> Tensor | None:
            if at != layer or activations is None:
                return None
            replaced = own.clone()
            replaced[0, :, index] = torch.from_numpy(activations).to(own)
            return replaced

        with self._turn:
            logits = self._subject.logits(_batch(excerpt), on_layer)[0].float()
        # One logit may be minus infinity; a sum that is not finite has another cause.
        self._finite(_array(logits.logsumexp(dim=-1)))
        return _array(torch.log_softmax(logits, dim=-1))

    def _of_neuron(self, ids: Int32s, layer: int, index: int) -> Float32s:
        seen: list[Float32s] = []

        def on_layer(at: int, own: Tensor) -> None:
            if at == layer:
                seen.append(_array(own[0, :, index]))

        with self._turn:
            self._subject.activations(_batch(ids), on_layer)
        return self._finite(seen[0])

    @torch.inference_mode()
    def _hidden(self, ids: Int32s, layer: int) -> Tensor:
        """[tokens, width], without BOS."""
        bos = [] if self._subject.bos_id is None else [self._subject.bos_id]
        tokens = torch.tensor([[*bos, *ids.tolist()]], device=self._subject.device)
        with self._turn:
            output = self._subject.model.base_model(input_ids=tokens, output_hidden_states=True, use_cache=False)
        states: Tensor = output.hidden_states[layer + 1][0, len(bos) :]
        return states

    def _finite(self, values: Float32s) -> Float32s:
        if not np.isfinite(values).all():
            raise SubjectError(
                f"{self.slug} gives numbers that are not finite on this text. {self._subject.why_not_finite()}"
            )
        return values

    def _check(self, layer: int, index: int) -> None:
        widths = self._subject.info.site.widths
        if not (0 <= layer < len(widths) and 0 <= index < widths[layer]):
            raise SubjectError(f"{self.slug} has no neuron {layer}/{index}.")


def _batch(ids: Int32s) -> Tensor:
    if ids.size == 0:
        raise SubjectError("There is no token to run.")
    return torch.from_numpy(ids.astype(np.int64))[None]


def _array(values: Tensor) -> Float32s:
    array: Float32s = values.detach().float().cpu().numpy()
    return array
