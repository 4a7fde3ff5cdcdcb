"""Which parameters of a network all modalities share, and which belong to one of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import nn

from fisherkit.checks import UnknownNameError
from neural.autoencoder.model import SharedAutoencoder
from neural.heads.model import SharedHead, weight_of

__all__ = ["Entry", "Partition"]


@dataclass(frozen=True)
class Entry:
    """A parameter tensor, or one row of it, as a run of columns of the Fisher matrix."""

    parameter: str  # name in ``net.named_parameters()``
    row: int | None  # index on the first axis; None for the whole tensor
    start: int  # first column
    size: int  # number of columns; the tensor is flattened row by row

    @property
    def columns(self) -> slice:
        """Where the entry lies in a Fisher matrix."""
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True)
class Partition:
    """Shared and modality-specific parameters; what is in neither is known and held fixed.

    A group lists names as in ``net.named_parameters()``, modules whose parameters are all meant (``"encoder"``), or
    one row of a tensor (``"scales[1]"``).

    Attributes:
        shared: the trunk phi_c.
        private: {modality: its own parameters phi_k}; a modality left out has none.

    Raises:
        TypeError: a group given as one string instead of a sequence of names.

    Example:
        >>> net = nn.ModuleDict({"trunk": nn.Linear(3, 2), "head": nn.Linear(2, 1)})
        >>> partition = Partition(("trunk",), {"x": ("head.weight",)})
        >>> [(entry.parameter, entry.start) for entry in partition.entries(net, "x")]
        [('trunk.weight', 0), ('trunk.bias', 6), ('head.weight', 8)]
    """

    shared: tuple[str, ...]
    private: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, group in {"shared": self.shared, **self.private}.items():
            if isinstance(group, str):
                raise TypeError(f"{what}: expected a sequence of parameter names, got the string {group!r}")
        object.__setattr__(self, "shared", tuple(self.shared))
        object.__setattr__(self, "private", {name: tuple(group) for name, group in self.private.items()})

    @classmethod
    def of(cls, net: nn.Module) -> "Partition":
        """The partition of a `SharedAutoencoder` (trunk: encoder and decoder) or a `SharedHead` (trunk: the head)."""
        if isinstance(net, SharedAutoencoder):
            own = {k: (f"adapters.from_{k}", f"heads.to_{k}") for k in net.architecture.names}
            return cls(("encoder", "decoder"), own)
        if isinstance(net, SharedHead):
            groups: dict[str, tuple[str, ...]] = {}
            for i, (name, _) in enumerate(net.layout.dims):
                projection = (weight_of(name),) if name in net.layout.projected else ()
                groups[name] = projection + ((f"scales[{i}]",) if net.scales is not None else ())
            return cls(("head",), groups)
        raise TypeError(
            f"{type(net).__name__}: shared parameters unknown; pass Partition(shared=(...), private={{modality: (...)}})"
        )

    def with_private_known(self) -> "Partition":
        """The same trunk with modality-specific parameters known."""
        return Partition(self.shared)

    def entries(self, net: nn.Module, *modalities: str) -> tuple[Entry, ...]:
        """Columns of a Fisher matrix in order: shared parameters, then private ones of the modalities named."""
        self._check(net)
        found = _resolve(net, self.shared, "shared")
        for name in modalities:
            found += _resolve(net, self.private.get(name, ()), name)
        return _laid_out(found)

    def shared_dim(self, net: nn.Module) -> int:
        """Number d_c of shared parameters."""
        return sum(entry.size for entry in self.entries(net))

    def _check(self, net: nn.Module) -> None:
        owner: dict[str, tuple[str, int | None]] = {}
        for what, group in {"shared": self.shared, **self.private}.items():
            for name, row, _ in _resolve(net, group, what):
                for key in (name, f"{name}[{row}]"):
                    taken = owner.get(key)
                    if taken and (key != name or row is None or taken[1] is None):
                        raise ValueError(f"{key}: in group {what!r} and in {taken[0]!r}; a parameter has one")
                owner[name if row is None else f"{name}[{row}]"] = (what, row)
                owner.setdefault(name, (what, row))
        if not _resolve(net, self.shared, "shared"):
            raise ValueError("shared: no parameters; name at least one")


def _resolve(net: nn.Module, group: Iterable[str], what: str) -> list[tuple[str, int | None, int]]:
    """(parameter, row, size) of every entry of a group."""
    parameters = dict(net.named_parameters())
    found: list[tuple[str, int | None, int]] = []
    for given in group:
        match = re.fullmatch(r"(.+)\[(\d+)\]", given)
        if match and match[1] in parameters:
            tensor, row = parameters[match[1]], int(match[2])
            if tensor.ndim < 1 or row >= len(tensor):
                raise IndexError(f"{given}: {match[1]} has shape {tuple(tensor.shape)}")
            found.append((match[1], row, tensor[0].numel()))
            continue
        members = [name for name in parameters if name == given or name.startswith(f"{given}.")]
        if not members:
            known = [*parameters, *(name for name, _ in net.named_modules() if name)]
            raise UnknownNameError(given, known, f"parameter or module in group {what!r}")
        found += [(name, None, parameters[name].numel()) for name in members]
    return found


def _laid_out(found: list[tuple[str, int | None, int]]) -> tuple[Entry, ...]:
    entries, start = [], 0
    for name, row, size in found:
        entries.append(Entry(name, row, start, size))
        start += size
    return tuple(entries)
