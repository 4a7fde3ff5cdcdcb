"""A criterion as a function of sample counts, and how many samples reach a level of it.

phi(n) = phi(sum_k n_k S_k) with real counts n_k >= 0 and S_k the effective information that one sample of
modality k carries about theta_c. Everything is computed from square roots of the S_k and with the scale that their
entries were computed at (`fisherkit.psd`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError, as_array, as_instance, as_names
from fisherkit.criteria import Criterion
from fisherkit.information import effective_information, shared_information
from fisherkit.model import LinearGaussian
from fisherkit.psd import PSD, total
from fisherkit.reaching import amount_to_reach, given

__all__ = ["Amounts", "CountCriterion", "as_amounts"]

Array = NDArray[np.float64]
Amounts = Mapping[str, float] | float


def as_amounts(counts: Amounts, names: Iterable[str]) -> dict[str, float]:
    """Real counts >= 0 by modality name; names left out count zero.

    Args:
        counts: {modality: count}, or one count for all.
        names: the model's modality names.

    Returns:
        {modality: float} with every name present.

    Raises:
        UnknownNameError: a name that the model does not have.
        ValueError: a negative, infinite or NaN count.

    Example:
        >>> as_amounts({"text": 2.5}, ["image", "text"])
        {'image': 0.0, 'text': 2.5}
    """
    names = as_names(names)
    given = counts if isinstance(counts, Mapping) else dict.fromkeys(names, counts)
    for name in given:
        if name not in names:
            raise UnknownNameError(name, names)
    amounts = {name: float(as_array(given.get(name, 0.0), f"{name}: count", ndim=0)) for name in names}
    for name, n in amounts.items():
        if n < 0:
            raise ValueError(f"{name}: count must be >= 0, got {n:.6g}")
    return amounts


@dataclass(frozen=True, eq=False)
class CountCriterion:
    """phi of the effective information about theta_c as a function of real sample counts.

    A modality with per-sample designs enters with its average one, S_k = (information of all its designs) / N, since
    a fraction of a sample has no design of its own. But phi is +infinity where the samples that would be taken, the
    first ones, do not determine what is asked, whatever the average design says. For the exact information of given
    samples take `fisherkit.effective_information`.

    Attributes:
        model: the world.
        criterion: the criterion phi.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> from fisherkit.criteria import a_criterion
        >>> model = LinearGaussian({"x": Modality([[1.0]]), "y": Modality([[0.5]])})
        >>> variance = CountCriterion(model, a_criterion())
        >>> round(variance.value({"x": 1, "y": 4}), 9), round(variance.reach({"x": 1}, {"y": 1}, 0.25), 9)
        (0.5, 12.0)
    """

    model: LinearGaussian
    criterion: Criterion

    def __post_init__(self) -> None:
        as_instance(self.model, LinearGaussian, "model")
        as_instance(self.criterion, Criterion, "criterion")

    @cached_property
    def parts(self) -> dict[str, PSD]:
        """{modality: (d_c, d_c) S_k}, information of one (average) sample."""
        return shared_information(self.model)

    @property
    def roots(self) -> dict[str, Array]:
        """{modality: (rank, d_c)} with root' root = S_k."""
        return {name: part.root for name, part in self.parts.items()}

    @property
    def average_designs(self) -> tuple[str, ...]:
        """Modalities whose average design stands for their samples."""
        return tuple(name for name in self.model.names if not self.model[name].repeated)

    def total(self, counts: Mapping[str, float]) -> PSD:
        """Total effective information about theta_c.

        Args:
            counts: {modality: count >= 0}.

        Returns:
            (d_c, d_c) information.
        """
        return total(self.model.shared_dim, [(n, self.parts[name]) for name, n in counts.items()])

    def determined(self, counts: Mapping[str, float]) -> bool:
        """Whether the samples that would be taken determine what is asked, as far as their average design does.

        Args:
            counts: {modality: count >= 0}; of each the first ceil(count) per-sample designs are taken.

        Returns:
            True where there are no per-sample designs, or all of them are taken.
        """
        designs = {name: self.model[name].n_designs or 0 for name in self.average_designs}
        if all(counts.get(name, 0.0) >= n or not counts.get(name, 0.0) for name, n in designs.items()):
            return True
        taken = tuple(
            min(designs.get(name, 1), math.ceil(counts.get(name, 0.0))) for name in self.model.names
        )
        if taken not in self._verdicts:
            exact = effective_information(self.model, dict(zip(self.model.names, taken, strict=True)))
            assert isinstance(exact, PSD)
            self._verdicts[taken] = self.criterion.finite_at(exact)
        return self._verdicts[taken]

    @cached_property
    def _verdicts(self) -> dict[tuple[int, ...], bool]:
        return {}

    def value(self, counts: Mapping[str, float]) -> float:
        """The criterion at these counts.

        Args:
            counts: {modality: count >= 0}.

        Returns:
            phi, +infinity where something asked for is not estimable.
        """
        value = self.criterion.value(self.total(counts))
        return value if math.isinf(value) or self.determined(counts) else math.inf

    def finite_value(self, counts: Mapping[str, float]) -> float:
        """The criterion at counts where it must be finite.

        Args:
            counts: {modality: count >= 0}.

        Returns:
            phi.

        Raises:
            ValueError: phi is infinite there; says whether other modalities would help.
        """
        level = self.value(counts)
        if np.isinf(level):
            helped = self.criterion.finite_at(self.total(dict.fromkeys(self.model.names, 1.0)))
            help_ = "add samples of another modality" if helped else "no modality of this model helps"
            if self.criterion.finite_at(self.total(counts)):
                help_ = "the designs of the first samples miss what later ones see: take more of them"
            raise ValueError(
                f"criterion {self.criterion.name!r}: infinite at counts {dict(counts)}: what is asked is not "
                f"estimable; {help_}, or ask about directions that these samples see (c_criterion)"
            )
        return level

    def marginal_values(self, counts: Mapping[str, float]) -> dict[str, float]:
        """One-sided derivatives -d phi / d n_k.

        Args:
            counts: {modality: count >= 0}.

        Returns:
            {modality: value >= 0}, see `Criterion.marginal_value`.
        """
        now = self.total(counts)
        if self.criterion.finite_at(now) and not self.determined(counts):
            more = {name: {**counts, name: counts.get(name, 0.0) + 1.0} for name in self.parts}
            return {name: math.inf if self.determined(more[name]) else 0.0 for name in self.parts}
        values = {name: self.criterion.marginal_value(now, part) for name, part in self.parts.items()}
        for name, value in values.items():  # a first sample that makes phi finite must really do so
            if math.isinf(value) and not self.determined({**counts, name: counts.get(name, 0.0) + 1.0}):
                values[name] = 0.0
        return values

    def reach(self, base: Mapping[str, float], ray: Mapping[str, float], level: float) -> float:
        """The least r >= 0 with phi(base + r ray) <= level.

        Args:
            base: counts that are there in any case.
            ray: counts that are multiplied.
            level: wanted value of phi.

        Returns:
            r, +infinity where no r will do.
        """
        return self.determining(
            base, ray, amount_to_reach(self.criterion, self.total(base), self.total(ray), level)
        )

    def determining(self, base: Mapping[str, float], ray: Mapping[str, float], r: float) -> float:
        """The least amount of at least r with which the samples that would be taken determine what is asked.

        Args:
            base: counts that are there in any case.
            ray: counts that are multiplied.
            r: amount that is enough for average designs.

        Returns:
            The amount, r itself as a rule.
        """

        def at(amount: float) -> dict[str, float]:
            return {
                name: base.get(name, 0.0) + amount * ray.get(name, 0.0)
                for name in self.parts
                if base.get(name, 0.0) or ray.get(name, 0.0)
            }

        if not self.average_designs or math.isinf(r) or self.determined(at(r)):
            return r
        more: set[float] = set()  # amounts at which one more design comes in
        for name in self.average_designs:
            step, there = ray.get(name, 0.0), base.get(name, 0.0)
            if step:
                whole = np.arange(math.ceil(there + r * step), (self.model[name].n_designs or 0) + 1)
                more.update(((whole - there) / step).tolist())
        steps = sorted(more)
        low, high = 0, len(steps)
        while low < high:  # more samples never determine less
            middle = (low + high) // 2
            low, high = (low, middle) if self.determined(at(steps[middle])) else (middle + 1, high)
        return steps[low] if low < len(steps) else math.inf

    def needed(self, base: Mapping[str, float], name: str, other: str, level: float) -> float:
        """Samples of `name` without which no number of samples of `other` reaches the level.

        Args:
            base: counts that are there in any case.
            name: modality asked about.
            other: modality that is unlimited.
            level: wanted value of phi.

        Returns:
            Infimum of counts of `name`; 0 where `other` alone reaches the level or, for D, comes as near as
            one likes.
        """
        if self.criterion.name == "D":
            return 0.0 if self.parts[other].rank else self.reach(base, {name: 1.0}, level)
        criterion, (start, step) = given(
            self.criterion, self.parts[other], [self.total(base), self.parts[name]]
        )
        return 0.0 if criterion is None else amount_to_reach(criterion, start, step, level)
