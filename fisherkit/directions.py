"""Directions v of which v'theta is asked: one place says which vectors are taken and what is said to the others."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array
from fisherkit.layout import Layout

__all__ = ["as_directions"]

Array = NDArray[np.float64]


def as_directions(directions: ArrayLike, layout: Layout) -> Array:
    """Vectors over all parameters, or over the shared ones alone, which are padded with zeros.

    Args:
        directions: (d,) or (d, n) over all parameters, or (d_c,) / (d_c, n) over the shared ones.
        layout: the parameters.

    Returns:
        (d,) or (d, n), float64.

    Raises:
        ValueError: directions of any other length, or with a NaN or infinity.

    Example:
        >>> as_directions([1.0, 2.0], Layout(2, {"x": 1}))
        array([1., 2., 0.])
    """
    v = as_array(directions, "directions", ndim=(1, 2)).astype(np.float64, copy=False)
    if len(v) == layout.shared_dim:
        v = np.concatenate([v, np.zeros((layout.n_params - len(v), *v.shape[1:]))])
    if len(v) != layout.n_params:
        raise ValueError(
            f"directions: expected length {layout.n_params} (all parameters) or {layout.shared_dim} (shared ones), "
            f"got {len(v)}"
        )
    return v
