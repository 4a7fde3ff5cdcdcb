"""Which samples are meant: counts as callers give them, in the form that exact arithmetic uses."""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from fisherkit.checks import UnknownNameError, as_counts
from fisherkit.layout import Layout

__all__ = ["Counts", "Sizes", "dim_about", "read_sizes"]

#: {modality: number of samples}, one number for all, or the name of a modality of which one average sample is meant.
Counts = Mapping[str, int] | int | str
#: {modality: (first n samples, factor)}.
Sizes = dict[str, tuple[int, Fraction]]


def read_sizes(designs: Mapping[str, int | None], counts: Counts, what: str = "counts") -> Sizes:
    """Counts in the form that the arithmetic uses.

    Args:
        designs: {modality: number of per-sample designs, None for a repeated one}, in the model's order.
        counts: see `Counts`.
        what: how messages call them.

    Returns:
        {modality: (n, factor)} in the model's order.

    Raises:
        UnknownNameError: a name that the model does not have.
        TypeError: no counts.
        ValueError: a negative or fractional count, or more samples than there are per-sample designs.
    """
    if isinstance(counts, str):
        if counts not in designs:
            raise UnknownNameError(counts, designs)
        n = designs[counts] or 1
        return {name: (n, Fraction(1, n)) if name == counts else (0, Fraction(1)) for name in designs}
    if not isinstance(counts, Mapping | int | float | np.number):
        raise TypeError(
            f"{what}: expected {{modality: number of samples}}, one number for all, or the name of a modality, got "
            f"{type(counts).__name__}"
        )
    checked = as_counts(counts, designs)
    for name, n in checked.items():
        most = designs[name]
        if most is not None and n > most:
            raise ValueError(
                f"{name}: {n} samples asked for, but there are only {most} per-sample designs; pass more designs, or "
                "one repeated design"
            )
    return {name: (n, Fraction(1)) for name, n in checked.items()}


def dim_about(layout: Layout, about: str | None) -> int:
    """Number of parameters asked about.

    Args:
        layout: of the model.
        about: "shared", a modality for its private block, None for all parameters.

    Returns:
        Their number.

    Raises:
        UnknownNameError: `about` names no block.
    """
    if about is None:
        return layout.n_params
    if about not in layout.slices:
        raise UnknownNameError(about, layout.slices, "parameter block")
    block = layout.slices[about]
    return block.stop - block.start
