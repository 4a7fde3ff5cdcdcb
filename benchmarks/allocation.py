"""A-optimal allocation to a certified gap: Newton's method against convex programs and SciPy's SLSQP.

    python benchmarks/allocation.py [--quick]

K modalities, d parameters, information of rank r per sample, costs spread over a factor of 100. Rivals get square roots
of the information for free; fisherkit gets the matrices and checks them. Every answer's counts are judged by the same
certificate, phi* >= phi^2 / (budget max_k g_k / cost_k); fisherkit's own, which may use a better dual point, is in its
result. Rivals that need more than 2 seconds run once.
"""

import time
from collections.abc import Callable
from importlib import metadata

import numpy as np
from timing import ROUNDS, Goal, Timing, arguments, interleave, pin_threads, report

from fisherkit.allocation import Allocation, allocate_information
from fisherkit.criteria import c_criterion

SIZES = (
    (20, 2, 20),
    (20, 10, 5),
    (20, 50, 5),
    (20, 200, 5),
    (50, 2, 50),
    (50, 10, 10),
    (50, 50, 5),
    (50, 200, 5),
    (100, 2, 100),
    (100, 10, 20),
)
QUICK = ((6, 2, 6), (6, 10, 2))
SLOW = 2.0
BUDGET = 1.0
OURS = "fisherkit"
SLSQP = "SciPy SLSQP, gradient"
CONES = "cvxpy, sum of norms (Sagnol 2011)"
FRACTION = "cvxpy, matrix_frac"
ENGINE = "fisherkit, method='convex'"


def make_problem(dim: int, modalities: int, rank: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Square roots of random information matrices, and costs.

    Args:
        dim: number of parameters d.
        modalities: K.
        rank: of each information matrix.
        seed: of both.

    Returns:
        Roots (K, rank, d) and costs (K,), log-uniform over [0.1, 10].
    """
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((modalities, rank, dim))
    return roots, np.exp(rng.uniform(np.log(0.1), np.log(10), modalities))


def ours(
    roots: np.ndarray, costs: np.ndarray, *, criterion: object = "A", method: str = "newton"
) -> Allocation:
    """The library's answer, from the matrices.

    Args:
        roots: (K, rank, d).
        costs: (K,).
        criterion: what to minimise.
        method: "newton" or "convex".

    Returns:
        Allocation of real-valued counts.
    """
    informations = {f"m{k}": root.T @ root for k, root in enumerate(roots)}
    prices = {f"m{k}": float(cost) for k, cost in enumerate(costs)}
    return allocate_information(
        informations,
        prices,
        budget=BUDGET,
        criterion=criterion,
        method=method,
        integer=False,  # type: ignore[arg-type]
    )


def sum_of_norms(roots: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Minimise sum_k |Z_k| subject to sum_k A_k' Z_k = I; money goes to k in proportion to |Z_k|.

    Args:
        roots: (K, rank, d).
        costs: (K,).

    Returns:
        (K,) counts.
    """
    import cvxpy as cp

    count, rank, dim = roots.shape
    scaled = (roots / np.sqrt(costs)[:, None, None]).reshape(count * rank, dim)
    z = cp.Variable((count, rank * dim))
    stacked = cp.reshape(z, (count * rank, dim), order="C")
    program = cp.Problem(cp.Minimize(cp.sum(cp.norm(z, axis=1))), [scaled.T @ stacked == np.eye(dim)])
    program.solve(solver=cp.CLARABEL)
    lengths = np.linalg.norm(z.value, axis=1)
    return BUDGET * lengths / lengths.sum() / costs


def matrix_fraction(roots: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The formulation of textbooks: trace of the inverse by matrix_frac.

    Args:
        roots: (K, rank, d).
        costs: (K,).

    Returns:
        (K,) counts.
    """
    import cvxpy as cp

    count, _, dim = roots.shape
    scaled = roots / np.sqrt(costs)[:, None, None]
    each = np.matmul(scaled.transpose(0, 2, 1), scaled).reshape(count, -1)
    w = cp.Variable(count, nonneg=True)
    m = cp.reshape(each.T @ w, (dim, dim), order="C")
    program = cp.Problem(cp.Minimize(cp.matrix_frac(np.eye(dim), m)), [cp.sum(w) <= 1])
    program.solve(solver=cp.CLARABEL)
    shares = np.maximum(w.value, 0.0)
    return BUDGET * shares / shares.sum() / costs


def slsqp(roots: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Sequential quadratic programming with the exact gradient.

    Args:
        roots: (K, rank, d).
        costs: (K,).

    Returns:
        (K,) counts.
    """
    from scipy.optimize import minimize

    count, rank, dim = roots.shape
    scaled = roots / np.sqrt(costs)[:, None, None]
    flat = scaled.reshape(-1, dim)

    def value_and_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        inverse = np.linalg.inv((w[:, None, None] * scaled).reshape(-1, dim).T @ flat)
        gradient = np.square(flat @ inverse).sum(axis=1).reshape(count, rank).sum(axis=1)
        return float(np.trace(inverse)) / first, -gradient / first

    first = 1.0
    start = np.full(count, 1 / count)
    first = value_and_gradient(start)[0]
    found = minimize(
        value_and_gradient,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(count)},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    shares = np.maximum(found.x, 0.0)
    return BUDGET * shares / shares.sum() / costs


def certified_gap(roots: np.ndarray, costs: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """What an answer proves about itself, from the definition.

    Args:
        roots: (K, rank, d).
        costs: (K,).
        counts: (K,).

    Returns:
        Value trace M^-1 and relative gap 1 - phi / (budget max_k g_k / cost_k).
    """
    inverse = np.linalg.inv(np.einsum("k,kri,krj->ij", counts, roots, roots))
    scores = np.square(roots @ inverse).sum(axis=(1, 2)) / costs
    value = float(np.trace(inverse))
    spent = float(costs @ counts)
    return value, max(0.0, 1 - value * min(1.0, spent / BUDGET) / (BUDGET * float(scores.max())))


def rivals(dim: int, modalities: int, *, quick: bool = False) -> dict[str, Callable[..., np.ndarray]]:
    """Who takes part at this size; the textbook formulation takes minutes from d = 50, SLSQP from K = 200, d = 100.

    Args:
        dim: number of parameters.
        modalities: K.
        quick: small sizes.

    Returns:
        {method: function of roots and costs}.
    """
    there: dict[str, Callable[..., np.ndarray]] = {SLSQP: slsqp, CONES: sum_of_norms}
    if dim <= 20:
        there[FRACTION] = matrix_fraction
    if modalities <= 10 and dim <= 20:
        there[ENGINE] = lambda roots, costs: np.array(
            list(ours(roots, costs, method="convex").counts.values())
        )
    return there


def compare(dim: int, modalities: int, rank: int, *, rounds: int) -> tuple[dict[str, Timing], float]:
    """One table: answers compared and certified, then timed.

    Args:
        dim: number of parameters.
        modalities: K.
        rank: of each information matrix.
        rounds: for all that are quick.

    Returns:
        {method: Timing}, the library first, and the certified gap in the library's result.

    Raises:
        AssertionError: two answers are further apart than their certificates allow.
    """
    roots, costs = make_problem(dim, modalities, rank)
    answer = ours(roots, costs)
    best, gap = certified_gap(roots, costs, np.array(list(answer.counts.values())))
    notes = {OURS: f"certified gap {gap:.0e}, in its result {answer.gap:.0e}"}
    quick: dict[str, Callable[[], object]] = {OURS: lambda: ours(roots, costs)}
    slow: dict[str, Timing] = {}
    for name, method in rivals(dim, modalities).items():
        start = time.perf_counter()
        counts = method(roots, costs)
        taken = time.perf_counter() - start
        value, its_gap = certified_gap(roots, costs, counts)
        notes[name] = f"certified gap {its_gap:.0e}"
        if not -1.5 * gap - 1e-9 <= value / best - 1 <= 1.5 * its_gap + 1e-9:
            raise AssertionError(f"d={dim}, K={modalities}: {name} reaches {value:.9g}, fisherkit {best:.9g}")
        if taken > SLOW:
            slow[name] = Timing(taken, taken, taken, 1)
            notes[name] += ", run once"
        else:
            quick[name] = lambda method=method: method(roots, costs)
    timings = interleave(quick, rounds, warm=False) | slow
    report(f"A-optimal, d = {dim}, K = {modalities}, rank {rank}", timings, notes=notes)
    return timings, answer.gap


def criteria(dim: int, modalities: int, rank: int, *, rounds: int) -> float:
    """The library's own times for all criteria.

    Args:
        dim: number of parameters.
        modalities: K.
        rank: of each information matrix.
        rounds: how often.

    Returns:
        Largest certified gap.
    """
    roots, costs = make_problem(dim, modalities, rank)
    asked: dict[str, object] = {"A": "A", "D": "D", "E": "E"}
    asked["c, one direction"] = c_criterion(np.random.default_rng(1).standard_normal(dim))
    gaps = {name: ours(roots, costs, criterion=criterion).gap for name, criterion in asked.items()}
    timings = interleave(
        {
            name: lambda criterion=criterion: ours(roots, costs, criterion=criterion)
            for name, criterion in asked.items()
        },
        rounds,
        warm=False,
    )
    notes = {name: f"certified gap {gap:.0e}" for name, gap in gaps.items()}
    report(f"fisherkit, all criteria, d = {dim}, K = {modalities}, rank {rank}", timings, notes=notes)
    return max(gaps.values())


def main(*, quick: bool = False) -> list[Goal]:
    """Compare, certify, time, print.

    Args:
        quick: two tiny sizes.

    Returns:
        Goals with the numbers measured.
    """
    print(*(f"{name} {metadata.version(name)}" for name in ("cvxpy", "clarabel")), sep=", ")
    gaps, of_cvxpy, of_slsqp = [], {}, {}
    for dim, modalities, rank in QUICK if quick else SIZES:
        timings, gap = compare(dim, modalities, rank, rounds=3 if quick else ROUNDS)
        gaps.append(gap)
        own = timings[OURS].median
        convex = [timing.median for name, timing in timings.items() if name.startswith("cvxpy")]
        of_cvxpy[dim, modalities] = min(convex) / own
        of_slsqp[dim, modalities] = own / timings[SLSQP].median
    gaps.append(criteria(*(QUICK[1] if quick else (50, 50, 5)), rounds=3 if quick else ROUNDS))
    if quick:
        return []
    return [
        Goal("largest certified relative gap", max(gaps), 1e-6, at_most=True, unit=""),
        Goal(
            "times faster than the best cvxpy formulation, worst case at d = 20",
            min(ratio for (dim, _), ratio in of_cvxpy.items() if dim == 20),
            15,
        ),
        Goal(
            "times faster than the best cvxpy formulation, worst case at d >= 50",
            min(ratio for (dim, _), ratio in of_cvxpy.items() if dim >= 50),
            50,
        ),
        Goal(
            "time / SLSQP, worst case at K <= 10",
            max(ratio for (_, modalities), ratio in of_slsqp.items() if modalities <= 10),
            3,
            at_most=True,
        ),
    ]


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    pin_threads()
    print(*main(quick=options.quick), sep="\n")
