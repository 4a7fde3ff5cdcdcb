"""Proved Loewner order: its price beside Cholesky and eigenvalues, and wrong claims on adversarial cases.

    python benchmarks/certified_order.py [--quick]

A and B are timed as they come (checks, difference and radii included), the others on the ready-made
difference B - A. Adversarial gaps are singular or within one unit of it; what is true of them is decided by
integer arithmetic here.
"""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from timing import Goal, arguments, interleave, pin_threads, report

from fisherkit.certified import Status, certify

SIZES = (10, 50, 200, 1000)
KINDS = ("singular", "one unit off", "triangular", "thirds", "one ulp off")


def main(*, quick: bool = False) -> list[Goal]:
    """Print the tables.

    Args:
        quick: no 1000 by 1000, 2,000 cases instead of 100,000.

    Returns:
        Goals with the numbers measured.
    """
    ratios = {
        d: times(d, rounds=7 if quick else 25 if d < 1000 else 9) for d in SIZES if not quick or d < 1000
    }
    large = [ratios[d] for d in ratios if d >= 200]
    exact = {d: exact_seconds(d, rounds=1 if quick else 5) for d in (50, 100)}
    cases = 2_000 if quick else 100_000
    wrong, decided = count_wrong_claims(cases)
    table(wrong, decided, cases)
    return [
        Goal("proof / numpy cholesky, d >= 200", max(r[0] for r in large), 2.5, at_most=True),
        Goal("eigvalsh / proof, d >= 200", min(r[1] for r in large), 4),
        Goal("exact verdict, d = 50", 1e3 * exact[50], 50, at_most=True, unit=" ms"),
        Goal("exact verdict, d = 100", 1e3 * exact[100], 500, at_most=True, unit=" ms"),
        Goal(f"wrong claims in {cases:,} cases", sum(wrong["certify"].values()), 0, at_most=True, unit=""),
    ]


def make_pair(d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Informations A < A + R'R = B of condition about 1e2, symmetric to the last bit.

    Args:
        d: dimension.
        seed: of the designs.

    Returns:
        A and B, (d, d).
    """
    rng = np.random.default_rng(seed)
    first, second = (rng.standard_normal((2 * d, d)) for _ in range(2))
    a = first.T @ first
    return a, a + second.T @ second


def times(d: int, rounds: int) -> tuple[float, float]:
    """Time one size and print its table.

    Args:
        d: dimension.
        rounds: how often each method runs.

    Returns:
        Time of the proof over that of Cholesky, and eigenvalues over the proof.

    Raises:
        AssertionError: a clear gap was not certified.
    """
    a, b = make_pair(d)
    gap = b - a
    if certify(a, b).status is not Status.CERTIFIED_STRICT:
        raise AssertionError(f"d = {d}: a gap of condition 1e2 was not certified")
    repeat = max(1, 5000 // d)  # short calls are timed in groups

    def repeated(call: Callable[[], object]) -> Callable[[], None]:
        def group() -> None:
            for _ in range(repeat):
                call()

        return group

    methods = {
        "certify(A, B)": lambda: certify(a, b),
        "the same, factor checked": lambda: certify(a, b, check_factor=True),
        "numpy cholesky": lambda: np.linalg.cholesky(gap),
        "numpy eigvalsh": lambda: np.linalg.eigvalsh(gap),
    }
    timings = interleave({name: repeated(call) for name, call in methods.items()}, rounds)
    report(f"strict order of two {d} x {d} matrices, {repeat} at a time", timings)
    proof = timings["certify(A, B)"].median
    return proof / timings["numpy cholesky"].median, timings["numpy eigvalsh"].median / proof


def exact_seconds(d: int, rounds: int) -> float:
    """Time an exact verdict on full 53-bit entries in units spread over twelve decades.

    Args:
        d: dimension.
        rounds: how often.

    Returns:
        Median in seconds.
    """
    a, b = make_pair(d)
    units = 10.0 ** np.random.default_rng(1).uniform(-6, 6, d)
    a, b = (np.tril(m) + np.tril(m, -1).T for m in (a * np.outer(units, units), b * np.outer(units, units)))
    timings = interleave({f"exact, d = {d}": lambda: certify(a, b, exact=True)}, rounds)
    report(f"exact rational verdict, {d} x {d}", timings)
    return next(iter(timings.values())).median


def make_case(rng: np.random.Generator) -> tuple[str, np.ndarray, np.ndarray]:
    """A pair of matrices of floats whose exact gap is singular, or nearly so on either side.

    Args:
        rng: generator.

    Returns:
        Kind, A and B, of 2 to 6 rows.
    """
    d = int(rng.integers(2, 7))
    kind = KINDS[int(rng.integers(len(KINDS)))]
    size = int(rng.choice([3, 30, 1000]))
    root = rng.integers(-size, size + 1, (d, int(rng.integers(1, d))))
    gap = root @ root.T  # exactly singular
    if kind == "one unit off":
        gap[-1, -1] += rng.integers(-1, 2)
    elif kind == "triangular":  # determinant -1, 0 or 1, conditions up to 1e20
        lower = np.tril(rng.integers(-9, 10, (d, d)), -1) + np.eye(d, dtype=np.int64)
        pivots = np.ones(d, dtype=np.int64)
        pivots[rng.integers(d)] = rng.integers(-1, 2)
        order = rng.permutation(d)
        gap = ((lower * pivots) @ lower.T)[np.ix_(order, order)]
    base = rng.integers(-size, size + 1, (d, d)) * (rng.random() < 0.5)
    a, b = (base + base.T).astype(float), (base + base.T + gap).astype(float)
    if kind == "thirds":
        a, b = a / 3, b / 3
    elif kind == "one ulp off":
        i, j = sorted(int(n) for n in rng.integers(d, size=2))
        b[i, j] = b[j, i] = np.nextafter(b[i, j], rng.choice([-np.inf, np.inf]))
    units = 2.0 ** rng.integers(-9, 10, d) if rng.random() < 0.5 else np.ones(d)
    return kind, a * np.outer(units, units), b * np.outer(units, units)


def is_definite(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether B - A is positive definite: all leading minors positive, by fraction-free elimination.

    Args:
        a: (d, d) floats, taken as rationals.
        b: (d, d) floats.

    Returns:
        The truth.
    """
    gap = exact_gap(a, b)
    scale = max(entry.denominator for row in gap for entry in row)  # all are powers of two
    work, before = [[int(entry * scale) for entry in row] for row in gap], 1
    while work:
        head, *rest = work
        if head[0] <= 0:
            return False
        work = [
            [(head[0] * x - row[0] * y) // before for x, y in zip(row[1:], head[1:], strict=True)]
            for row in rest
        ]
        before = head[0]
    return True


def exact_gap(a: np.ndarray, b: np.ndarray) -> list[list[Fraction]]:
    """B - A without rounding.

    Args:
        a: (d, d) floats.
        b: (d, d) floats.

    Returns:
        Rows of fractions.
    """
    return [
        [Fraction(y) - Fraction(x) for x, y in zip(p, q, strict=True)]
        for p, q in zip(a.tolist(), b.tolist(), strict=True)
    ]


def refutes(a: np.ndarray, b: np.ndarray, v: np.ndarray, value: float) -> bool:
    """Whether v'(B - A)v <= value < 0, in rational arithmetic.

    Args:
        a: (d, d) floats.
        b: (d, d) floats.
        v: (d,) floats.
        value: the bound claimed.

    Returns:
        The truth.
    """
    w = [Fraction(x) for x in v.tolist()]
    form = sum(
        x * sum(g * y for g, y in zip(row, w, strict=True)) for x, row in zip(w, exact_gap(a, b), strict=True)
    )
    return form <= Fraction(value) < 0


def count_wrong_claims(cases: int, seed: int = 0) -> tuple[dict[str, Counter], Counter]:
    """Compare claims with the truth.

    Args:
        cases: how many.
        seed: of the cases.

    Returns:
        {method: wrong claims of definiteness or of its contrary by kind}, and the numbers of definite, other,
        certified and refuted cases.
    """
    rng = np.random.default_rng(seed)
    wrong: dict[str, Counter] = {name: Counter() for name in ("certify", "cholesky", "eigvalsh")}
    seen: Counter = Counter()
    for _ in range(cases):
        kind, a, b = make_case(rng)
        definite = is_definite(a, b)
        answer = certify(a, b)
        seen["definite" if definite else "not definite"] += 1
        seen[answer.status.value] += 1
        seen[kind] += 1
        if answer.status is Status.CERTIFIED_STRICT:
            wrong["certify"][kind] += not definite
        elif answer.status is Status.REFUTED:
            wrong["certify"][kind] += definite or not refutes(a, b, answer.witness, answer.value)
        gap = b - a
        try:
            np.linalg.cholesky(gap)
            wrong["cholesky"][kind] += not definite
        except np.linalg.LinAlgError:
            wrong["cholesky"][kind] += definite
        wrong["eigvalsh"][kind] += (np.linalg.eigvalsh(gap)[0] > 0) != definite
    return wrong, seen


def table(wrong: dict[str, Counter], seen: Counter, cases: int) -> None:
    """Print the counts.

    Args:
        wrong: as `count_wrong_claims` returns.
        seen: the same.
        cases: how many.
    """
    print(
        f"\nwrong claims of definiteness or of its contrary, {cases:,} cases ({seen['definite']:,} definite)"
    )
    print(f"  {'kind of gap':14}{'cases':>9}" + "".join(f"{name:>11}" for name in wrong))
    for kind in KINDS:
        print(f"  {kind:14}{seen[kind]:9,}" + "".join(f"{count[kind]:11,}" for count in wrong.values()))
    print(f"  {'all':14}{cases:9,}" + "".join(f"{sum(count.values()):11,}" for count in wrong.values()))
    answers = (Status.CERTIFIED_STRICT, Status.REFUTED, Status.UNDECIDED)
    print(
        "  certify: " + ", ".join(f"{status.value} {seen[status.value]:,}" for status in answers), flush=True
    )


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    pin_threads()
    print(*main(quick=options.quick), sep="\n")
