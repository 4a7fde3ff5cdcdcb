"""A criterion as a function of sample counts, and how many samples reach a level of it.

phi(n) = phi(sum_k n_k S_k) with real counts n_k >= 0 and S_k the effective information that one sample of
modality k carries about theta_c. Everything is computed from square roots of the S_k and with the scale that their
entries were computed at (`fisherkit.psd`).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError, as_array
from fisherkit.criteria import Criterion
from fisherkit.information import effective_information, shared_information
from fisherkit.model import LinearGaussian
from fisherkit.pencil import Pencil
from fisherkit.psd import PSD, tolerance, total

__all__ = ["Amounts", "CountCriterion", "amount_to_reach", "as_amounts", "reach_along"]

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
    names = list(names)
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
        criterion, (start, step) = _given(
            self.criterion, self.parts[other], [self.total(base), self.parts[name]]
        )
        return 0.0 if criterion is None else amount_to_reach(criterion, start, step, level)


def amount_to_reach(criterion: Criterion, base: PSD, step: PSD, level: float) -> float:
    """The least r >= 0 with phi(base + r step) <= level.

    Closed form where base is nothing (phi is homogeneous), else the root of a monotone sum over the directions that
    diagonalise both (`fisherkit.pencil`).

    Args:
        criterion: phi.
        base: (d, d) information that is there.
        step: (d, d) information that is multiplied.
        level: wanted value of phi.

    Returns:
        r, +infinity where no r will do.

    Example:
        >>> from fisherkit.criteria import a_criterion
        >>> round(amount_to_reach(a_criterion(), PSD.of([[1.0]]), PSD.of([[4.0]]), 0.2), 9)  # 1 + 4 r = 5
        1.0
    """
    if not base.rank:
        return criterion.factor_to_reach(step, level)
    if reached(criterion, base, level):
        return 0.0
    if not step.rank:
        return math.inf
    return reach_along(criterion, Pencil.of(base, step), (1.0, 0.0), (0.0, 1.0), level)


def reached(criterion: Criterion, information: PSD, level: float) -> bool:
    """Whether phi is at most the level, up to its own rounding.

    Args:
        criterion: phi.
        information: where.
        level: wanted value of phi.

    Returns:
        The verdict.
    """
    slack = max(tolerance(information.dim), information.resolution)
    return criterion.factor_to_reach(information, level) <= 1 + min(slack, _ROOM)


def reach_along(
    criterion: Criterion,
    pencil: Pencil,
    start: tuple[float, float],
    ray: tuple[float, float],
    level: float,
) -> float:
    """The least r >= 0 with phi((x + r a) A + (y + r b) B) <= level, where phi is above the level at r = 0.

    Args:
        criterion: phi.
        pencil: A and B.
        start: (x, y).
        ray: (a, b), >= 0.
        level: wanted value of phi.

    Returns:
        r, +infinity where no r will do.
    """
    if not criterion.finite_at(pencil.both):
        return math.inf
    there, more = (x * pencil.first + y * pencil.second for x, y in (start, ray))
    moves = more > 0
    if criterion.name == "D":
        if not moves.any():
            return math.inf
        # -log det M = -2 log |det T^+| - sum log m
        goal = -(level + 2 * float(np.linalg.slogdet(pencil.dual)[1]))
        if (there[~moves] == 0).any():
            return math.inf
        return _root(
            lambda r: float(np.log(there + r * more).sum()) - goal, _first_guess(there, more, moves), None
        )
    if criterion.name == "E":

        def phi(m: Array, columns: NDArray[np.bool_]) -> float:
            if not columns.any():
                return 0.0
            return float(np.linalg.norm(pencil.frame[:, columns] / np.sqrt(m[columns]), 2) ** 2)

    else:
        wanted = np.eye(len(pencil.frame)) if criterion.directions is None else criterion.directions
        weights = np.square(pencil.frame.T @ wanted).sum(axis=1)

        def phi(m: Array, columns: NDArray[np.bool_]) -> float:
            return float((weights[columns] / m[columns]).sum())

    with np.errstate(divide="ignore", over="ignore"):
        limit = phi(there, ~moves)  # with infinitely many
        if not limit < level * (1 - _ROOM):
            return _plateau(phi, there, more, limit, level) if criterion.name == "E" else math.inf
        enough = phi(more, moves) / (level - limit)
        if not there.any() or not enough > 0:  # homogeneous, or nothing is missing
            return max(0.0, enough)
        every = np.ones(len(more), dtype=np.bool_)
        return _root(lambda r: level / phi(there + r * more, every) - 1, enough, enough)


def _plateau(
    phi: Callable[[Array, NDArray[np.bool_]], float], there: Array, more: Array, limit: float, level: float
) -> float:
    """Where E comes down to what no number of samples changes, if it does: the worst direction is not seen by them."""
    if limit > level * (1 + _ROOM):
        return math.inf
    moves, every = more > 0, np.ones(len(more), dtype=np.bool_)
    enough = 1e6 * phi(more, moves) / level
    goal = level * (1 + 0.1 * _ROOM)
    if phi(there + enough * more, every) > goal:
        return math.inf  # comes as near as one likes, and never there
    return _root(lambda r: goal / phi(there + r * more, every) - 1, enough, enough)


def _first_guess(there: Array, more: Array, moves: NDArray[np.bool_]) -> float:
    ratio = there[moves] / more[moves]
    return float(np.median(ratio[ratio > 0])) if (ratio > 0).any() else float(1 / more[moves].max())


def _root(gap: Callable[[float], float], high: float, bound: float | None) -> float:
    """Root of an increasing function on r > 0, with an upper bound of it where one is known."""
    from scipy.optimize import brentq

    low = 0.0
    with np.errstate(divide="ignore"):
        while gap(high) < 0:  # by rounding only, where there is a bound
            low, high = high, high * (4.0 if bound is None else 1 + 1e-9)
        if bound is None:
            while gap(high / 4) > 0 and high > 1e-280:
                high = high / 4
            low = max(low, high / 4)
        floor = -1.0 if bound is not None else gap(low) if low else -1e300
        return float(
            brentq(lambda r: gap(r) if r else floor, low, high, xtol=1e-300, rtol=1e-14, maxiter=500)
        )


def _given(criterion: Criterion, known: PSD, parts: list[PSD]) -> tuple[Criterion | None, list[PSD]]:
    """What is left to ask once all that `known` sees is known exactly: criterion and information on its null space."""
    # A is a sum over directions, which may be asked in any basis; E needs an orthonormal one
    basis = known.null_basis if criterion.name == "E" else known.null_directions
    on_basis = [
        PSD.from_root(part.root @ basis, noise=part.rounding, scale=part.lengths @ np.abs(basis))
        for part in parts
    ]
    if not basis.shape[1]:
        return None, on_basis
    if criterion.name == "E":
        return criterion, on_basis
    wanted = np.eye(known.dim) if criterion.directions is None else criterion.directions
    left = ~known.contains(wanted)
    return Criterion("c", basis.T @ wanted[:, left]) if left.any() else None, on_basis
