"""What a killed training goes on from: one safetensors file, complete or absent; and the error of a step gone bad.

The order of rows is not in it: streams are walked to where they were.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neural.minibatches import RowStream
from neural.store.safe_file import read_whole, unpack, write_arrays

__all__ = ["Checkpoints", "DivergedError"]

_FORMAT = "training 1"


class DivergedError(FloatingPointError):
    """A loss, gradient or weight is not finite.

    Attributes:
        step: 0-based.
        rows: {data set: row numbers of its batch}.
        checkpoint: the last good checkpoint; None if there is none.
    """

    def __init__(
        self, what: str, step: int, rows: Mapping[str, Sequence[int]], checkpoint: Path | None, saved: int
    ) -> None:
        super().__init__(what, step, rows, checkpoint, saved)
        self.step, self.rows, self.checkpoint = step, rows, checkpoint

    def __str__(self) -> str:
        what, step, rows, checkpoint, saved = self.args
        last = f"{checkpoint} (after {saved} steps)" if saved else "none"
        batch = "; ".join(f"{name!r} rows {', '.join(map(str, numbers))}" for name, numbers in rows.items())
        return (
            f"step {step}: {what}; last good checkpoint: {last}. Lower the learning rate, warm up longer, take precision "
            f"'float32', or look at the batch of rows: {batch}"
        )


@dataclass(eq=False)
class Checkpoints:
    """The newest state of one training, in one file.

    Attributes:
        path: the file; None keeps nothing.
        what: everything that the training depends on, as plain data.
        model: its parameters are its only state (no batch statistics).
        optimiser: of these parameters.
        scaler: of the gradients.
        streams: {data set: its order of rows}.
        noise: random stream, if there is one.
        saved: steps after which the file was written; 0 is no file.
    """

    path: Path | None
    what: Mapping[str, Any]
    model: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    streams: Mapping[str, RowStream]
    noise: torch.Generator | None = None
    saved: int = field(default=0, init=False)

    def save(
        self, step: int, curves: Mapping[str, Sequence[float] | Tensor], rows: Mapping[str, Tensor]
    ) -> None:
        """Write the state in place of the one before; weights that are not finite raise, and the file stays."""
        if self.path is None:
            return
        tensors = {f"weights/{name}": p.detach() for name, p in self.model.named_parameters()}
        if not all(bool(torch.isfinite(p).all()) for p in tensors.values()):
            raise self.diverged("a weight is not finite after the update", step - 1, rows)
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{number}/{key}": torch.as_tensor(value) for key, value in state.items()}
        for name, values in curves.items():
            tensors[f"curves/{name}"] = torch.as_tensor(values, dtype=torch.float64)
        if self.noise is not None:
            tensors["noise"] = self.noise.get_state()
        plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        note = json.dumps({
            "what": self._identity(),
            "step": step,
            "curves": list(curves),
            "taken": {name: stream.taken for name, stream in self.streams.items()},
            "scaler": self.scaler.state_dict(),
        })
        write_arrays(self.path, plain, {"format": _FORMAT, "note": note})
        self.saved = step

    def restore(self) -> tuple[int, dict[str, Tensor]]:
        """Go back to the saved state, streams at their start: steps done and curves; 0 and {} without a file."""
        kept = self.path and read_whole(
            self.path, _read, "this checkpoint cannot be used", ", and training starts anew", move=True
        )
        if not kept:
            return 0, {}
        tensors, note = kept
        different = _differences(note["what"], json.loads(json.dumps(self._identity())))
        if different:
            raise ValueError(
                f"{self.path}: this checkpoint is of another training (different: {', '.join(different)}); give another "
                "path, or delete it"
            )
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser/"):
                _, number, key = name.split("/")
                states.setdefault(int(number), {})[key] = tensor
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"weights/{name}"])
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": states})
        self.scaler.load_state_dict(note["scaler"])
        for name, stream in self.streams.items():
            stream.skip(note["taken"][name])
        if self.noise is not None:
            self.noise.set_state(tensors["noise"])
        self.saved = note["step"]
        return self.saved, {name: tensors[f"curves/{name}"] for name in note["curves"]}

    def diverged(self, what: str, step: int, rows: Mapping[str, Tensor]) -> DivergedError:
        """The error that ends a training, for the caller to raise; `step` is 0-based, `rows` the batches."""
        numbers = {name: batch.tolist() for name, batch in rows.items()}
        return DivergedError(what, step, numbers, self.path if self.saved else None, self.saved)

    def _identity(self) -> dict[str, Any]:
        shapes = [[name, *p.shape] for name, p in self.model.named_parameters()]
        return {**self.what, "parameters": shapes}


def _read(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, header = unpack(content, tensors=True, form=_FORMAT)
    return tensors, json.loads(header["note"])


def _differences(one: object, other: object, name: str = "") -> list[str]:
    """Dotted names of the entries that differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [name]
    return [
        different
        for key in sorted(one.keys() | other.keys())
        for different in _differences(one.get(key), other.get(key), f"{name}.{key}".strip("."))
    ]
