"""The state of a training in one safetensors file, complete or absent: weights, optimiser, random stream, what was logged."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from fisherkit.files import set_aside, write_atomic
from neural.array_cache import CorruptCacheWarning, content_key

__all__ = ["Checkpoints"]

_MODEL, _OPTIMISER, _NOISE = "model ", "optimiser ", "noise"


@dataclass(frozen=True, eq=False)
class Checkpoints:
    """One file that holds the newest state of one training.

    Attributes:
        path: the file.
        what: everything that the training depends on; a file of another training is an error.
    """

    path: Path
    what: Mapping[str, Any]

    def save(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        noise: torch.Generator,
        log: Mapping[str, Any],
    ) -> None:
        """Write the state after a step, in place of the one before.

        Args:
            model: its parameters are kept, shared ones once; there must be no other state (batch statistics).
            optimiser: of these parameters.
            noise: random stream.
            log: step and curves, what JSON can hold.
        """
        tensors = {f"{_MODEL}{name}": p.detach() for name, p in model.named_parameters()}
        for number, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{_OPTIMISER}{number} {name}": value for name, value in state.items()}
        tensors[_NOISE] = noise.get_state()
        plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        note = {"what": content_key(self.what), "log": json.dumps(log)}
        write_atomic(self.path, save(plain, metadata=note))

    def restore(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, noise: torch.Generator
    ) -> dict[str, Any] | None:
        """Set everything to the saved state.

        Args:
            model: as when it was saved.
            optimiser: new, of the same parameters in the same order.
            noise: random stream of the same kind of device.

        Returns:
            What was logged; None where there is no file, or a damaged one, which is kept aside with a
            `CorruptCacheWarning`.

        Raises:
            ValueError: the file is of another training.
        """
        if not self.path.exists():
            return None
        content = self.path.read_bytes()
        try:
            tensors = load(content)
            length = int.from_bytes(content[:8], "little")
            note = json.loads(content[8 : 8 + length])["__metadata__"]
            key, log = note["what"], json.loads(note["log"])
        except (SafetensorError, ValueError, KeyError) as error:
            aside = set_aside(self.path, content)
            self.path.unlink()
            warnings.warn(
                f"{self.path}: this checkpoint is damaged ({error}); it was kept as {aside.name} and the training "
                "starts anew",
                CorruptCacheWarning,
                stacklevel=2,
            )
            return None
        if key != content_key(self.what):
            raise ValueError(
                f"{self.path}: this checkpoint is of a training with other settings; give another path, or delete it"
            )
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(tensors[f"{_MODEL}{name}"])
        optimiser.load_state_dict(optimiser.state_dict() | {"state": _states(tensors)})
        noise.set_state(tensors[_NOISE])
        return log

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)


def _states(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Per number of a parameter, as ``Optimizer.state_dict`` has it."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMISER):
            number, what = name.removeprefix(_OPTIMISER).split(" ")
            states.setdefault(int(number), {})[what] = tensor
    return states
