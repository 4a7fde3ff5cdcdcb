"""Where each parameter block lies in theta. Nothing else in the library computes an offset."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import UnknownNameError, as_array, as_instance, as_whole

__all__ = ["SHARED", "Layout"]

Array = NDArray[np.float64]

#: Name of the shared parameter block, in layouts and results; no modality may be called so.
SHARED = "shared"


def check_modality_name(name: object) -> None:
    """Raise unless a modality may be called so.

    Args:
        name: what was given.

    Raises:
        TypeError: not a string.
        ValueError: the reserved name "shared".
    """
    if not isinstance(name, str):
        raise TypeError(f"modality names must be strings, got {name!r}")
    if name == SHARED:
        raise ValueError('modality name "shared" is reserved for the shared parameters; choose another')


@dataclass(frozen=True)
class Layout:
    """The shared block first, then the private blocks in modality order.

    Attributes:
        shared_dim: d_c.
        private_dims: {modality: d_k}, in modality order.

    Raises:
        TypeError: private_dims is no mapping, or a name no string.
        ValueError: a dimension that is no whole number >= 0, or the reserved name "shared".

    Example:
        >>> layout = Layout(2, {"image": 3, "text": 1})
        >>> layout.slices["text"], layout.n_params
        (slice(5, 6, None), 6)
    """

    shared_dim: int
    private_dims: Mapping[str, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shared_dim", as_whole(self.shared_dim, "shared_dim", least=0))
        dims = {}
        for name, dim in as_instance(self.private_dims, Mapping, "private_dims").items():
            check_modality_name(name)
            dims[name] = as_whole(dim, f"private_dims[{name!r}]", least=0)
        object.__setattr__(self, "private_dims", dims)

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names in order."""
        return tuple(self.private_dims)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """{"shared" or modality: slice into theta}."""
        start, slices = self.shared_dim, {SHARED: slice(0, self.shared_dim)}
        for name, dim in self.private_dims.items():
            slices[name] = slice(start, start + dim)
            start += dim
        return slices

    @property
    def n_params(self) -> int:
        """D = d_c + sum of all d_k."""
        return self.shared_dim + sum(self.private_dims.values())

    def columns(self, name: str) -> NDArray[np.intp]:
        """Indices in theta of the parameters modality `name` sees: shared, then its private ones.

        Args:
            name: modality.

        Returns:
            int array (d_c + d_k,).

        Raises:
            UnknownNameError: no such modality.
        """
        if not isinstance(name, str) or name not in self.private_dims:
            raise UnknownNameError(name, self.names)
        return np.r_[self.slices[SHARED], self.slices[name]]

    def split(self, theta: ArrayLike) -> dict[str, Array]:
        """Cut a parameter vector (or a batch of them) into named blocks.

        Args:
            theta: (..., d).

        Returns:
            {"shared" or modality: (..., d_block)} views.

        Raises:
            ValueError: last axis is not d.
        """
        theta = as_array(theta, "theta", finite=False)
        if theta.ndim == 0 or theta.shape[-1] != self.n_params:
            raise ValueError(
                f"theta: expected last axis {self.n_params} ({self.describe()}), got shape {theta.shape}"
            )
        return {name: theta[..., part] for name, part in self.slices.items()}

    def pack(self, blocks: Mapping[str, ArrayLike]) -> Array:
        """Join named blocks into one parameter vector; the inverse of `split`.

        Args:
            blocks: {"shared" or modality: (d_block,)}, every block with at least one parameter present.

        Returns:
            (d,) vector.

        Raises:
            UnknownNameError: a block that the layout does not have.
            ValueError: a block is missing or has the wrong length.
        """
        for name in as_instance(blocks, Mapping, "theta blocks"):
            if name not in self.slices:
                raise UnknownNameError(name, self.slices, "parameter block")
        theta = np.empty(self.n_params)
        for name, part in self.slices.items():
            dim = part.stop - part.start
            block = as_array(blocks.get(name, ()), f"theta block {name!r}", ndim=1)
            if block.shape != (dim,):
                raise ValueError(f"theta block {name!r}: expected length {dim}, got {len(block)}")
            theta[part] = block
        return theta

    def vector(self, theta: ArrayLike | Mapping[str, ArrayLike], name: str = "theta") -> Array:
        """One parameter vector, given as such or by its blocks.

        Args:
            theta: (d,) vector, or {"shared" or modality: (d_block,)} as for `pack`.
            name: how the message calls it.

        Returns:
            (d,) vector.

        Raises:
            UnknownNameError: a block that the layout does not have.
            ValueError: a block is missing, or a length that does not fit.
        """
        if isinstance(theta, Mapping):
            return self.pack(theta)
        vector = as_array(theta, name, ndim=1)
        self.split(vector)
        return vector

    def describe(self) -> str:
        """One line for messages.

        Returns:
            Text such as ``shared 2 + image 3 + text 1``.
        """
        return " + ".join(f"{name} {part.stop - part.start}" for name, part in self.slices.items())
