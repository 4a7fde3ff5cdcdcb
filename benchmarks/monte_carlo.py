"""Monte-Carlo replicates: statistics drawn exactly, against drawing and fitting the data again and again.

    python benchmarks/monte_carlo.py [--quick]

Two modalities with per-sample designs, 50 coordinates per sample, 20 parameters, 1,000 samples in all (50,000 rows).
Loops over data are timed on a few replicates and scaled to all of them; their rows say so.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from least_squares import NOISE, make_samples, stack
from timing import ROUNDS, Goal, arguments, interleave, pin_threads, report

import fisherkit as fk

D = 20


def check_distribution(model: fk.LinearGaussian, n: int, theta: np.ndarray, replicates: int) -> None:
    """Compare mean and covariance over replicates with the Cramer-Rao bound, which the estimate attains.

    Args:
        model: the world.
        n: samples per modality.
        theta: planted parameters.
        replicates: how many to draw.

    Raises:
        AssertionError: the covariance or the mean is further off than chance allows.
    """
    drawn = fk.fit(fk.simulate_statistics(model, n, seed=5, theta=theta, replicates=replicates))
    deviation = drawn.theta - theta
    wanted = np.linalg.inv(fk.information(model, n))
    half = np.linalg.cholesky(np.linalg.inv(wanted))
    white = deviation @ half  # unit covariance if all is right
    z = np.sqrt(replicates) * white.mean(axis=0)
    gap = np.linalg.norm(white.T @ white / replicates - np.eye(D)) / np.sqrt(D)
    expected = np.sqrt((D + 1) / replicates)
    print(
        f"answers compared: {replicates:,} estimates, whitened covariance {gap:.3f} from the identity (chance: "
        f"{expected:.3f}), largest |z| of the {D} means {np.abs(z).max():.1f}"
    )
    if gap > 2 * expected or np.abs(z).max() > 5:  # false alarm: about 1e-5
        raise AssertionError(
            "simulate_statistics: estimates are not distributed as the Cramer-Rao bound says"
        )


def data_loops(samples: fk.Samples, theta: np.ndarray) -> dict[str, Callable[[int], np.ndarray]]:
    """Replicates from redrawn data: n replicates at a time, each method given the stacked whitened design.

    Args:
        samples: the designs.
        theta: planted parameters.

    Returns:
        {method: function of the number of replicates, returning their estimates}.
    """
    design = stack(samples)[0]
    mean = design @ theta
    rng = np.random.default_rng(3)
    q, r = np.linalg.qr(design)
    projector = np.linalg.solve(r, q.T)

    def lstsq(count: int) -> np.ndarray:
        draws = (mean + rng.standard_normal(len(mean)) for _ in range(count))
        return np.stack([np.linalg.lstsq(design, y, rcond=None)[0] for y in draws])

    def normal_equations(count: int) -> np.ndarray:
        draws = (mean + rng.standard_normal(len(mean)) for _ in range(count))
        return np.stack([np.linalg.solve(design.T @ design, design.T @ y) for y in draws])

    def batched(count: int) -> np.ndarray:
        return (mean + rng.standard_normal((count, len(mean)))) @ projector.T

    return {
        "numpy lstsq loop": lstsq,
        "normal equations loop": normal_equations,
        "factor once, GEMM": batched,
    }


def main(*, quick: bool = False) -> list[Goal]:
    """Check the distribution, time, print.

    Args:
        quick: fewer replicates and samples.

    Returns:
        Goals with the numbers measured.
    """
    replicates, n_samples, few, rounds = (1_000, 200, 2, 3) if quick else (10_000, 1_000, 20, ROUNDS)
    samples = make_samples(n_samples)
    model, theta, n = samples.model, samples.theta, n_samples // 2
    assert theta is not None
    check_distribution(model, n, theta, replicates)

    def drawn(**how: str) -> Callable[[], np.ndarray]:
        return lambda: (
            fk.fit(fk.simulate_statistics(model, n, seed=2, theta=theta, replicates=replicates), **how).theta
        )

    loops = data_loops(samples, theta)
    methods: dict[str, Callable[[], np.ndarray]] = {
        "exact statistics, noise known": drawn(),
        "exact statistics, noise estimated (dof)": drawn(noise="dof"),
        **{name: lambda f=f: f(few) for name, f in loops.items()},
    }
    timings = interleave(methods, rounds)
    for name in loops:
        scale = replicates / few
        timed = timings[name]
        timings[name] = replace(
            timed, median=timed.median * scale, low=timed.low * scale, high=timed.high * scale
        )
    report(
        f"{replicates:,} replicates of {n_samples:,} samples = {n_samples * 50:,} rows, 20 parameters",
        timings,
        notes=dict.fromkeys(loops, f"timed on {few} replicates per round, scaled"),
    )
    known = timings["exact statistics, noise known"].median
    estimated = timings["exact statistics, noise estimated (dof)"].median
    goals = []
    if not quick:
        goals = [
            Goal(
                "known noise, times faster than the lstsq loop",
                timings["numpy lstsq loop"].median / known,
                1e4,
            ),
            Goal(
                "known noise, times faster than batched GEMM",
                timings["factor once, GEMM"].median / known,
                500,
            ),
            Goal("10,000 replicates, known noise", 1e3 * known, 15, at_most=True, unit=" ms"),
            Goal("10,000 replicates, estimated noise", 1e3 * estimated, 200, at_most=True, unit=" ms"),
        ]

    repeated = fk.random_model(10, {"x": 5, "y": 5}, seed=0, obs_dim=50, noise_std=NOISE)
    sizes = {f"{size:.0e} samples".replace("+0", ""): size // 2 for size in (10**3, 10**6, 10**9)}
    timings = interleave(
        {
            name: lambda size=size: (
                fk.fit(fk.simulate_statistics(repeated, size, seed=2, replicates=replicates)).theta
            )
            for name, size in sizes.items()
        },
        rounds if quick else 11,
    )
    report(f"{replicates:,} replicates, repeated designs: the number of samples does not matter", timings)
    spread = max(t.median for t in timings.values()) / min(t.median for t in timings.values())
    return (
        goals
        if quick
        else [*goals, Goal("slowest / fastest over 1e3 ... 1e9 samples", spread, 1.25, at_most=True)]
    )


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    pin_threads()
    print(*main(quick=options.quick), sep="\n")
