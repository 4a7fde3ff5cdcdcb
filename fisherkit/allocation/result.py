"""What an allocation says: counts, what they achieve, and the proof that hardly anything better exists."""

from collections.abc import Mapping
from dataclasses import dataclass

from fisherkit.criteria import Criterion

__all__ = ["Allocation", "NextSample"]


@dataclass(frozen=True, eq=False, repr=False)
class Allocation:
    """Best counts for a budget, or for a target, with their certificate.

    Attributes:
        counts: {modality: samples to buy}, real numbers; collected samples are not among them.
        value: criterion that they reach, together with what is collected; an upper bound, by a few roundings as a rule.
        bound: certified lower bound on the criterion of all affordable counts (of all counts that cost no more).
        cost: what the counts cost, budget units.
        cost_bound: certified lower bound on the cost of reaching the target; None where a budget was given.
        gap: certified relative distance to the optimum: of the criterion (1 - bound / value; for D
            1 - exp((bound - value) / d), the share of samples that an optimal design saves), or of the cost with a target.
        integer_counts: {modality: whole samples to buy}, within budget and limits; None if not asked for.
        integer_value: criterion that the whole samples reach; an upper bound like `value`.
        integer_cost: what they cost.
        integer_loss: bound on what rounding loses: relative distance of the whole samples to the certified bound. All of
            these bounds hold in exact arithmetic for the matrices, or the designs and noise, that were given.
        active: modalities that get samples.
        scores: {modality: g_k / cost_k}, how fast the criterion falls per budget unit spent on it. By the equivalence
            theorem it equals `multiplier` where a count lies between its limits, is at most that at the lower
            limit and at least that at the upper one (infinite for free samples that still help).
        multiplier: what one more budget unit is worth; 0 where limits leave nothing to buy.
        budget: as given, None where a target was given.
        target: as given, None where a budget was given.
        criterion: what was minimised.
        method: "newton" or "convex".
        status: how the method ended.
        iterations: steps it took.
        average_designs: modalities with per-sample designs of which an average one stands for samples to buy (and for
            those collected, where these are more than there are designs).
    """

    counts: Mapping[str, float]
    value: float
    bound: float
    cost: float
    cost_bound: float | None
    gap: float
    integer_counts: Mapping[str, int] | None
    integer_value: float | None
    integer_cost: float | None
    integer_loss: float | None
    active: tuple[str, ...]
    scores: Mapping[str, float]
    multiplier: float
    budget: float | None
    target: float | None
    criterion: Criterion
    method: str
    status: str
    iterations: int
    average_designs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        chosen = ", ".join(f"{name} {self.counts[name]:.6g}" for name in self.active) or "nothing"
        asked = f"budget {self.budget:.6g}" if self.target is None else f"target {self.target:.6g}"
        whole = ""
        if self.integer_counts is not None:
            few = ", ".join(f"{name} {n}" for name, n in self.integer_counts.items() if n) or "nothing"
            whole = f"; whole: {few} -> {self.integer_value:.6g}, loss <= {self.integer_loss:.2g}"
        return (
            f"Allocation({self.criterion.name}, {asked}: {chosen} -> {self.value:.6g} at cost {self.cost:.6g}, "
            f"certified gap {self.gap:.1e}{whole}{_average(self.average_designs)})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class NextSample:
    """Of which modality the next samples should be.

    Attributes:
        best: {modality: samples to add}, names without samples left out; empty where none of them lowers the criterion.
        value: criterion now, +infinity where something asked for is not estimable yet.
        after: criterion with the best samples added.
        gain: {modality: how much one more sample of it lowers the criterion}; +infinity where it makes the criterion
            finite.
        per_cost: {modality: gain per budget unit}; the gain itself where no costs were given.
        loss: certified relative distance of `after` to the best that as many samples can do; 0 for one sample, which is
            chosen by trying all.
        criterion: what is minimised.
        average_designs: modalities with per-sample designs of which an average one stands for further samples: all of
            them where several samples were asked for at once, else those whose designs are used up. Everything else is
            about the designs that come first, and the next one.
    """

    best: Mapping[str, int]
    value: float
    after: float
    gain: Mapping[str, float]
    per_cost: Mapping[str, float]
    loss: float
    criterion: Criterion
    average_designs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        if not self.best:
            nothing = f"add nothing: none lowers {self.criterion.name} {self.value:.6g}"
            return f"NextSample({nothing}{_average(self.average_designs)})"
        chosen = ", ".join(f"{n} {name}" for name, n in self.best.items())
        change = f"{self.criterion.name} {self.value:.6g} -> {self.after:.6g}"
        return f"NextSample(add {chosen}: {change}{_average(self.average_designs)})"


def _average(names: tuple[str, ...]) -> str:
    return f"; average designs of {', '.join(names)}" if names else ""
