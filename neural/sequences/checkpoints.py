"""What a killed training goes on from: one safetensors file with weights, optimiser, losses and positions in the data.

No state of a random generator is stored: rows come from streams that are walked to the same place again, and dropout
draws from a generator that is seeded anew for every step.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fisherkit.files import set_aside, write_atomic
from neural.array_cache import CorruptCacheWarning
from neural.sequences.model import SharedTransformer

__all__ = ["Progress", "load_checkpoint", "restore", "save_checkpoint"]


@dataclass(frozen=True, eq=False)
class Progress:
    """A training after some steps.

    Attributes:
        step: optimiser steps done.
        taken: {modality: rows taken from its stream}.
        losses: {modality: (step,) float64}, NaN where a modality had no turn.
        tensors: weights and optimiser state by name.
        scaler: state of the gradient scaler; empty without one.
    """

    step: int
    taken: Mapping[str, int]
    losses: Mapping[str, Tensor]
    tensors: Mapping[str, Tensor]
    scaler: Mapping[str, float]


def save_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    model: SharedTransformer,
    optimiser: torch.optim.Optimizer,
    *,
    step: int,
    taken: Mapping[str, int],
    losses: Mapping[str, Tensor],
    scaler: Mapping[str, float] | None = None,
) -> None:
    """Write a checkpoint; readers, and a run killed meanwhile, see the old one or the new, never a part.

    Args:
        path: target, replaced.
        identity: everything that decides what the training computes, as plain data.
        model: its weights are stored.
        optimiser: of the model's parameters, in their order.
        step: optimiser steps done.
        taken: {modality: rows taken from its stream}.
        losses: {modality: (step,)}.
        scaler: state of the gradient scaler, where there is one.
    """
    tensors = {f"weights/{name}": p.detach() for name, p in model.named_parameters()}
    tensors |= {f"losses/{name}": values for name, values in losses.items()}
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser/{name}/{key}"] = torch.as_tensor(value)
    stored = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    note = {"identity": identity, "step": step, "taken": dict(taken), "scaler": dict(scaler or {})}
    note_text = json.dumps(note, sort_keys=True, allow_nan=False)
    write_atomic(path, save(stored, metadata={"note": note_text, "check": _checksum(stored, note_text)}))


def load_checkpoint(path: Path, identity: Mapping[str, Any]) -> Progress | None:
    """Read a checkpoint.

    Args:
        path: where it may be.
        identity: of the training that asks.

    Returns:
        Progress; None if there is no file, or it is damaged (it is then kept aside and named in a
        `CorruptCacheWarning`).

    Raises:
        ValueError: the file belongs to another training; says in what they differ.
    """
    path = Path(path)
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        stored = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        if header["check"] != _checksum(stored, header["note"]):
            raise ValueError("checksum does not match")
        note = json.loads(header["note"])
        progress = Progress(note["step"], note["taken"], _below(stored, "losses/"), stored, note["scaler"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        aside = set_aside(path, content)
        path.unlink()
        warnings.warn(
            f"{path}: this checkpoint is damaged ({error}); it was kept as {aside.name}, and training starts anew",
            CorruptCacheWarning,
            stacklevel=2,
        )
        return None
    wanted = json.loads(json.dumps(identity))
    differing = sorted(
        key for key in wanted.keys() | note["identity"].keys() if wanted.get(key) != note["identity"].get(key)
    )
    if differing:
        raise ValueError(
            f"{path}: this checkpoint belongs to another training (different: {', '.join(differing)}); "
            "give another path, or delete it"
        )
    return progress


def restore(progress: Progress, model: SharedTransformer, optimiser: torch.optim.Optimizer) -> None:
    """Put weights and optimiser state back.

    Args:
        progress: from `load_checkpoint`, of the same architecture.
        model: changed in place.
        optimiser: of the model's parameters; changed in place.
    """
    weights = _below(progress.tensors, "weights/")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
            state = _below(progress.tensors, f"optimiser/{name}/")
            if state:  # Adam counts its steps on the host
                optimiser.state[parameter] = {
                    key: value.clone() if key == "step" else value.to(parameter.device, copy=True)
                    for key, value in state.items()
                }


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _checksum(tensors: Mapping[str, Tensor], note: str) -> str:
    digest = hashlib.sha256(note.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()
