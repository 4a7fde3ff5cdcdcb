"""Samples that exist: with per-sample designs, what the first n of them tell, and where an average one stands for them.

Counts are real numbers while they are being chosen, so a sample that is for sale is an average one of the designs
given. Samples that are there are no average: the first c_k designs count as they are, their private parameters
estimated together. An average design may determine what the designs that would come first do not, which is looked for
afterwards: an answer never promises a finite criterion for samples that leave it infinite.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from fisherkit.allocation.errors import NotEstimableError
from fisherkit.allocation.evidence import Design
from fisherkit.checks import as_counts, as_instance
from fisherkit.criteria import Criterion
from fisherkit.information import shared_information
from fisherkit.model import LinearGaussian
from fisherkit.psd import PSD, total

__all__ = ["Supply", "first_samples", "per_sample", "require_estimable", "supply"]

#: Counts this close to a whole number, relatively, are meant to be it.
_WHOLE = 1e-9


@dataclass(frozen=True, eq=False)
class Supply:
    """A model as an allocation sees it.

    Attributes:
        informations: {modality: of one sample, an average one of per-sample designs}.
        designs: {modality: what that was computed from}.
        collected: {modality: samples that are there and count as average ones or as repeated ones}.
        base: information of the other samples that are there; None for none.
        base_designs: what that was computed from.
    """

    informations: Mapping[str, PSD]
    designs: Mapping[str, Design]
    collected: Mapping[str, int]
    base: PSD | None
    base_designs: tuple[Design, ...]


def per_sample(model: LinearGaussian) -> dict[str, int]:
    """How many designs there are of each modality that has per-sample ones.

    Args:
        model: the world.

    Returns:
        {modality: N}.
    """
    numbers = {name: model[name].n_designs for name in model.names}
    return {name: n for name, n in numbers.items() if n is not None}


def supply(model: LinearGaussian, collected: Mapping[str, int] | int | None) -> Supply:
    """What is for sale and what is there.

    Args:
        model: the world.
        collected: {modality: samples that are there}; where there are more of them than designs, all are average ones.

    Returns:
        Both.
    """
    as_instance(model, LinearGaussian, "model")
    there = as_counts(0 if collected is None else collected, model.names)
    designs = per_sample(model)
    exact = {name: there[name] for name, n in designs.items() if 0 < there[name] <= n}
    base = shared_information(model, exact) if exact else {}
    return Supply(
        informations=shared_information(model),
        designs={name: Design.of_modality(model[name]) for name in model.names},
        collected={name: 0 if name in exact else n for name, n in there.items()},
        base=total(model.shared_dim, [(1.0, part) for part in base.values()]) if exact else None,
        base_designs=tuple(Design.of_modality(model[name], n) for name, n in exact.items()),
    )


def first_samples(model: LinearGaussian, counts: Mapping[str, int]) -> dict[str, PSD]:
    """Information of the first samples of each modality; beyond the designs that there are, of so many average ones.

    Args:
        model: the world.
        counts: {modality: n}.

    Returns:
        {modality: (d_c, d_c)}.
    """
    designs = per_sample(model)
    used = {name: min(n, designs.get(name, n)) for name, n in counts.items()}
    exact = shared_information(model, used)
    return {
        name: exact[name].times(n / used[name]) if n > used[name] else exact[name]
        for name, n in counts.items()
    }


def require_estimable(
    model: LinearGaussian,
    criterion: Criterion,
    collected: Mapping[str, int] | int | None,
    counts: Mapping[str, float],
) -> None:
    """Raise where what is asked follows from average designs, but not from those that would be used.

    Args:
        model: the world.
        criterion: what is asked.
        collected: {modality: samples that are there}.
        counts: {modality: samples to buy}, real numbers; a part of a sample is a sample.

    Raises:
        NotEstimableError: the criterion is infinite at the first samples; how many would do is in the message.
    """
    designs = per_sample(model)
    there = as_counts(collected or 0, model.names)
    taken = {name: there[name] + ceil(n * (1 - _WHOLE)) for name, n in counts.items()}
    few = [name for name, n in designs.items() if 0 < taken[name] < n]
    if not few:
        return
    known = _joint(model, taken)
    if np.isfinite(criterion.value(known)):
        return
    firsts = " and ".join(f"the first {taken[name]} of {designs[name]} designs of {name!r}" for name in few)
    raise NotEstimableError(
        f"criterion {criterion.name!r} is infinite at the samples that would be taken: average designs determine what it asks "
        f"for, but {firsts} do not; {_enough(model, criterion, taken, there, few)}, or put other designs first",
        known.range_basis,
    )


def _joint(model: LinearGaussian, taken: Mapping[str, int]) -> PSD:
    return total(model.shared_dim, [(1.0, part) for part in first_samples(model, taken).values()])


def _enough(
    model: LinearGaussian, criterion: Criterion, taken: dict[str, int], there: dict[str, int], few: list[str]
) -> str:
    """Of which modality how many samples would do, the others as they are."""
    designs, found = per_sample(model), []
    for name in few:
        low, high = taken[name], designs[name]
        if not np.isfinite(criterion.value(_joint(model, taken | {name: high}))):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            enough = np.isfinite(criterion.value(_joint(model, taken | {name: middle})))
            low, high = (low, middle) if enough else (middle, high)
        found.append(f"{high} samples of {name!r} would (limits={{{name!r}: ({high - there[name]}, None)}})")
    if found:
        return " or ".join(found)
    return "all their designs together would"
