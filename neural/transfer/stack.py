"""The transformer layers of a language model, without its vocabulary, with full attention."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neural.embed.catalogue import CATALOGUE, listing
from neural.embed.weights import Checkpoint

__all__ = ["KINDS", "LanguageStack", "find_language", "load_stack"]

# model types of transformers whose layers can be used: BERT's line and GPT-2
KINDS = ("bert", "roberta", "xlm-roberta", "gpt2")


class LanguageStack(nn.Module):
    """Layers of BERT or GPT-2 that read a sequence of vectors; every position sees every other.

    What belongs to words is left behind: the embeddings (with their positions, and BERT's normalisation after them)
    and the pooler or language head. GPT-2's causal mask is off, its last normalisation is kept. Dropout inside the
    layers is off at all times, in training too: the paper names none but that before the layers.
    """

    def __init__(self, network: Any, name: str) -> None:  # noqa: ANN401
        super().__init__()
        self.config, self.name = network.config, name
        self.kind = str(self.config.model_type)
        if self.kind not in KINDS:
            raise ValueError(
                f"{name}: layers of type {self.kind!r} cannot be used here (supported: {', '.join(KINDS)}); give a "
                "BERT, RoBERTa or GPT-2"
            )
        if self.kind == "gpt2":
            self.layers, self.norm = network.h, network.ln_f
        else:
            self.layers, self.norm = network.encoder.layer, nn.Identity()
        self.eval()
        if not self._sees_ahead():
            raise ValueError(
                f"{name}: position 0 does not see position 1, so its attention is still causal; load it with "
                "attn_implementation='sdpa' and, for BERT, without is_decoder"
            )

    @property
    def width(self) -> int:
        """Numbers per position, d."""
        return int(self.config.hidden_size)

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden states (b, n, d) of a sequence (b, n, d)."""
        n = sequence.shape[1]
        # all zeros, added to the scores: where there is a mask, GPT-2's attention does not make a causal one itself
        mask = sequence.new_zeros(1, 1, n, n) if self.kind == "gpt2" else None
        for layer in self.layers:
            out = layer(sequence, attention_mask=mask)
            sequence = out[0] if isinstance(out, tuple) else out  # a tuple before transformers 5
        return self.norm(sequence)

    def train(self, mode: bool = True) -> "LanguageStack":
        """Stays in evaluation mode, which differs in nothing but dropout; gradients flow all the same."""
        return super().train(False)

    def __repr__(self) -> str:
        return f"<LanguageStack {self.name}: {self.kind}, {self.depth} layers, width {self.width}>"

    @torch.no_grad()
    def _sees_ahead(self) -> bool:
        weight = next(self.layers.parameters())
        generator = torch.Generator().manual_seed(0)
        pair = torch.randn(1, 2, self.width, generator=generator).to(weight)
        other = pair.clone()
        other[:, 1] = -other[:, 1]
        return not torch.equal(self(pair)[:, 0], self(other)[:, 0])


def find_language(
    name: str | Path, *, revision: str | None = None, local_files_only: bool = False
) -> Checkpoint:
    """Where the files of a catalogue name, a ``save_pretrained`` folder or a hub name are; nothing is read yet."""
    text = str(name)
    if isinstance(name, Path) or text.startswith((".", "/", "~")) or Path(text).is_dir():
        if revision is not None:
            raise ValueError(f"{name}: a folder has no revision; leave revision= out")
        return Checkpoint(text, Path(text).expanduser())
    if text in CATALOGUE or "/" not in text:
        entry = listing(text)
        return Checkpoint(text, entry.hub, revision or entry.revision, local_files_only)
    return Checkpoint(text, text, revision or "main", local_files_only)


def load_stack(checkpoint: Checkpoint) -> LanguageStack:
    """The layers of a checkpoint with their weights, in single precision, on the CPU."""
    kind = str(checkpoint.config.model_type)
    if kind not in KINDS:  # told before gigabytes are read
        raise ValueError(
            f"{checkpoint.name}: layers of type {kind!r} cannot be used here (supported: {', '.join(KINDS)})"
        )
    options: dict[str, Any] = {"attn_implementation": "sdpa"}
    if kind != "gpt2":
        options["add_pooling_layer"] = False
    return LanguageStack(checkpoint.network(torch.float32, options), checkpoint.name)
