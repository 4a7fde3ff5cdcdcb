"""A criterion as a function of sample counts, and how many samples reach a level of it.

phi(n) = phi(sum_k n_k S_k) with real counts n_k >= 0 and S_k the effective information that one sample of
modality k carries about theta_c. Everything is computed from square roots of the S_k, which keeps condition
numbers that the matrices themselves would square.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.accumulation import design_root
from fisherkit.checks import UnknownNameError, as_array, as_instance, as_names
from fisherkit.criteria import Criterion
from fisherkit.model import LinearGaussian
from fisherkit.psd import PSD, project_out, tolerance

__all__ = ["Amounts", "CountCriterion", "amount_to_reach", "as_amounts"]

Array = NDArray[np.float64]
Amounts = Mapping[str, float] | float
_ROOM = 1e-9  # a level this close to the limit of infinitely many samples is out of reach


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

    Attributes:
        model: the world. A modality with per-sample designs enters with its average one.
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
    def _roots(self) -> tuple[dict[str, Array], float]:
        roots, rounding = {}, tolerance(self.model.shared_dim)
        for name in self.model.names:
            n = self.model[name].n_designs or 1
            root = design_root(self.model[name], n)
            kept, private = np.split(root.matrix, [self.model.shared_dim], axis=1)
            roots[name] = project_out(kept, private, noise=root.rounding).root / np.sqrt(n)
            rounding = max(rounding, root.rounding)
        return roots, rounding

    @property
    def roots(self) -> dict[str, Array]:
        """{modality: (rank, d_c)} with root' root = S_k."""
        return self._roots[0]

    @property
    def rounding(self) -> float:
        """Relative size of singular values of the roots that are rounding."""
        return self._roots[1]

    def root(self, counts: Mapping[str, float]) -> Array:
        """Square root of the total information.

        Args:
            counts: {modality: count >= 0}.

        Returns:
            (rows, d_c).
        """
        rows = [np.sqrt(n) * self.roots[name] for name, n in counts.items() if n]
        return np.concatenate([np.zeros((0, self.model.shared_dim)), *rows])

    def total(self, counts: Mapping[str, float]) -> PSD:
        """Total effective information about theta_c.

        Args:
            counts: {modality: count >= 0}.

        Returns:
            (d_c, d_c) information.
        """
        return PSD.from_root(self.root(counts), noise=self.rounding)

    def value(self, counts: Mapping[str, float]) -> float:
        """The criterion at these counts.

        Args:
            counts: {modality: count >= 0}.

        Returns:
            phi, +infinity where something asked for is not estimable.
        """
        return self.criterion.value(self.total(counts))

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
            helped = np.isfinite(self.value(dict.fromkeys(self.model.names, 1.0)))
            help_ = "add samples of another modality" if helped else "no modality of this model helps"
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
        total = self.total(counts)
        return {name: self.criterion.marginal_value(total, root) for name, root in self.roots.items()}

    def reach(self, base: Mapping[str, float], ray: Mapping[str, float], level: float) -> float:
        """The least r >= 0 with phi(base + r ray) <= level.

        Args:
            base: counts that are there in any case.
            ray: counts that are multiplied.
            level: wanted value of phi.

        Returns:
            r, +infinity where no r will do.
        """
        return amount_to_reach(self.criterion, self.root(base), self.root(ray), level, rounding=self.rounding)

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
            return 0.0 if self.roots[other].size else self.reach(base, {name: 1.0}, level)
        known = PSD.from_root(self.roots[other], noise=self.rounding)
        criterion, (start, step), scale = _given(self.criterion, known, [self.root(base), self.roots[name]])
        if criterion is None:
            return 0.0
        return amount_to_reach(criterion, start, step, level, rounding=self.rounding, scale=scale)


def amount_to_reach(
    criterion: Criterion,
    base: Array,
    step: Array,
    level: float,
    *,
    rounding: float | None = None,
    scale: Array | None = None,
) -> float:
    """The least r >= 0 with phi(base' base + r step' step) <= level.

    Closed form where base is nothing (phi is homogeneous), else the bracketed root of an increasing, concave
    function of r: level / phi, or its like for D (Pukelsheim 2006, ch. 5: 1 / phi is concave for c, A and E,
    det^(1/d) for D).

    Args:
        criterion: phi.
        base: (b, d), root of the information that is there.
        step: (s, d), root of the information that is multiplied.
        level: wanted value of phi.
        rounding: relative size of singular values that are rounding, see `PSD.from_root`.
        scale: (d,) scales of the columns, see `PSD.from_root`.

    Returns:
        r, +infinity where no r will do.

    Example:
        >>> from fisherkit.criteria import a_criterion
        >>> round(amount_to_reach(a_criterion(), np.array([[1.0]]), np.array([[2.0]]), 0.2), 9)  # 1 + 4 r = 5
        1.0
    """

    def information(r: float) -> PSD:
        return PSD.from_root(np.concatenate([base, np.sqrt(r) * step]), noise=rounding, scale=scale)

    def gap(r: float) -> float:
        return 1 / criterion.factor_to_reach(information(r), level) - 1  # -1 where phi is infinite

    if not base.any():
        alone = PSD.from_root(step, noise=rounding, scale=scale)
        return criterion.factor_to_reach(alone, level)
    if gap(0.0) >= -tolerance(base.shape[1]):
        return 0.0
    if not step.any() or np.isinf(criterion.value(information(1.0))):
        return np.inf
    if criterion.name != "D":
        known = PSD.from_root(step, noise=rounding, scale=scale)
        rest, (start,), size = _given(criterion, known, [base])
        limit = (
            0.0 if rest is None else rest.value(PSD.from_root(start, noise=rounding, scale=size))
        )  # with infinitely many
        if limit >= level * (1 - _ROOM):
            return np.inf
    from scipy.optimize import brentq

    low, high = 0.0, float(np.square(base).sum() / np.square(step).sum())
    while gap(high) < 0:
        low, high = high, 4 * high
    return float(brentq(gap, low, high, xtol=1e-14 * high, rtol=1e-14))


def _given(
    criterion: Criterion, known: PSD, roots: list[Array]
) -> tuple[Criterion | None, list[Array], Array]:
    """What is left to ask once all that `known` sees is known exactly: criterion and roots on its null space.

    Returns:
        Criterion (None if nothing is left), roots, and the (d,) scales that their rounding is measured
        against.
    """
    basis = known.null_basis
    on_basis = [root @ basis for root in roots]
    size = np.full(basis.shape[1], np.linalg.norm(np.abs(np.concatenate(roots)).sum(axis=1)))
    if criterion.directions is None:
        return criterion if basis.shape[1] else None, on_basis, size
    left = ~known.contains(criterion.directions)
    return Criterion("c", basis.T @ criterion.directions[:, left]) if left.any() else None, on_basis, size
