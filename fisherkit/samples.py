"""Unpaired samples: one array of observations per modality, checked against the model they belong to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import UnknownNameError, as_array, as_frozen, as_instance, as_mapping, as_names
from fisherkit.model import LinearGaussian

__all__ = ["Samples"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Observations of each modality, with no pairing between them.

    Args:
        model: the world they come from.
        data: {modality: (..., n_k, m_k)}; leading axes are replicates and agree between modalities. Modalities
            may be left out; with per-sample designs the first n_k designs belong to the n_k samples.
        theta: (d,) planted parameters where known, as in simulations, or their blocks {"shared" or modality: values}.

    Observations that are float64 or float32 already are kept without a copy, which would double the memory of large
    data: leave the arrays alone until statistics are taken (`fisherkit.accumulate` or `fisherkit.fit`).

    Raises:
        TypeError: not real numbers, see `fisherkit.arrays`.
        UnknownNameError: a modality the model does not have.
        ValueError: wrong shapes, NaN or infinity, zero samples, more samples than designs.

    Example:
        >>> from fisherkit.model import Modality
        >>> model = LinearGaussian({"x": Modality(np.eye(2)), "y": Modality(np.ones((1, 2)))})
        >>> Samples(model, {"y": [[1.0], [3.0]]})
        Samples(y: 2 x 1)
    """

    model: LinearGaussian
    data: Mapping[str, NDArray]
    theta: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        as_instance(self.model, LinearGaussian, "model")
        checked: dict[str, NDArray] = {}
        for name, value in as_mapping(self.data, "samples", "{modality: array}").items():
            checked[name] = _as_observations(self.model, name, value)
        shapes = {name: x.shape[:-2] for name, x in checked.items()}
        if len(set(shapes.values())) > 1:
            raise ValueError(f"samples: replicate axes differ between modalities: {shapes}")
        object.__setattr__(self, "data", {n: checked[n] for n in self.model.names if n in checked})
        if self.theta is not None:
            theta = as_frozen(self.model.layout.vector(self.theta), "theta")
            object.__setattr__(self, "theta", theta)

    def __repr__(self) -> str:
        parts = (f"{name}: {' x '.join(map(str, x.shape))}" for name, x in self.data.items())
        return f"Samples({', '.join(parts)})"

    def __getitem__(self, name: str) -> NDArray:
        if not isinstance(name, str) or name not in self.data:
            raise UnknownNameError(name, self.data)
        return self.data[name]

    @property
    def counts(self) -> dict[str, int]:
        """Samples per modality; 0 for modalities of the model that are absent."""
        return {name: self.data[name].shape[-2] if name in self.data else 0 for name in self.model.names}

    def subset(self, names: Iterable[str]) -> "Samples":
        """Only these modalities' samples; the model keeps all its parameters.

        Args:
            names: modality names.

        Returns:
            Samples that share the arrays.
        """
        wanted = as_names(names, self.data)
        return Samples(self.model, {name: self.data[name] for name in wanted}, self.theta)


def _as_observations(model: LinearGaussian, name: str, value: ArrayLike) -> NDArray:
    modality = model[name]
    x = as_array(value, f"{name}: samples", single=True)
    if x.ndim < 2 or x.shape[-1] != modality.obs_dim:
        raise ValueError(
            f"{name}: samples: expected shape (..., samples, {modality.obs_dim}), got {x.shape}; "
            "the last axis holds the observed coordinates"
        )
    if x.shape[-2] == 0:
        raise ValueError(f"{name}: zero samples; leave the modality out instead")
    modality.check_count(x.shape[-2], name)
    return x
