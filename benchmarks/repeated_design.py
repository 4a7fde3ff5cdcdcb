"""One design for all samples: a joint fit against merely reading the data, and against tiling the design.

    python benchmarks/repeated_design.py [--quick]

Two modalities, 50 coordinates per sample, 20 parameters. The floor is the dot product of the data with themselves.
"""

import numpy as np
from timing import ROUNDS, Goal, arguments, interleave, pin_threads, report, require_equal

import fisherkit as fk

NOISE = {"x": 0.3, "y": 0.6}
M = 50


def make_samples(n_samples: int, seed: int = 0) -> fk.Samples:
    """Samples of a random repeated-design world.

    Args:
        n_samples: of both modalities together, half of each.
        seed: of model and noise.

    Returns:
        Simulated samples.
    """
    model = fk.random_model(10, {"x": 5, "y": 5}, seed=seed, obs_dim=M, noise_std=NOISE)
    return fk.simulate(model, n_samples // 2, seed=seed + 1)


def read(samples: fk.Samples) -> float:
    """Read every number once.

    Args:
        samples: whose data are read.

    Returns:
        Squared length of the data.
    """
    flat = [x.reshape(-1) for x in samples.data.values()]
    return float(sum(np.dot(x, x) for x in flat))


def tile(samples: fk.Samples) -> tuple[np.ndarray, np.ndarray]:
    """The stacked, whitened design that an ordinary least-squares routine needs.

    Args:
        samples: of a repeated-design model.

    Returns:
        Design (rows, 20) and observations (rows,).
    """
    model, designs, targets = samples.model, [], []
    for name, x in samples.data.items():
        block = np.zeros((M, model.n_params))
        block[:, model.layout.columns(name)] = model[name].design() / NOISE[name]
        designs.append(np.tile(block, (len(x), 1)))
        targets.append(x.reshape(-1) / NOISE[name])
    return np.concatenate(designs), np.concatenate(targets)


def main(*, quick: bool = False) -> list[Goal]:
    """Compare, time, print.

    Args:
        quick: a fiftieth of the size.

    Returns:
        Goals with the numbers measured.
    """
    goals = []
    for n_samples in (2_000,) if quick else (100_000, 1_000_000):
        samples = make_samples(n_samples)
        timings = interleave(
            {
                "read the data": lambda samples=samples: read(samples),
                "fisherkit": lambda samples=samples: fk.fit(samples).covariance,
                "fisherkit, data checked too": lambda samples=samples: (
                    fk.fit(fk.Samples(samples.model, samples.data)).covariance
                ),
            },
            5 if quick else 21,
        )
        report(f"repeated design, {n_samples:,} samples = {n_samples * M * 8 / 1e6:.0f} MB", timings)
        ratio = timings["fisherkit"].median / timings["read the data"].median
        if not quick:
            goals.append(Goal(f"fit at {n_samples:,} samples / reading the data", ratio, 1.7, at_most=True))
    n_samples = 2_000 if quick else 100_000
    samples = make_samples(n_samples)

    def tiled() -> np.ndarray:
        design, target = tile(samples)
        return np.linalg.lstsq(design, target, rcond=None)[0]

    require_equal({"fisherkit": fk.fit(samples).theta, "tile + lstsq": tiled()}, 1e-10, "estimates")
    timings = interleave(
        {"fisherkit": lambda: fk.fit(samples).covariance, "tile + lstsq": tiled}, 3 if quick else ROUNDS
    )
    report(f"repeated design, {n_samples:,} samples, against the tiled design", timings)
    ratio = timings["tile + lstsq"].median / timings["fisherkit"].median
    return goals if quick else [*goals, Goal("times faster than tile + numpy lstsq", ratio, 500)]


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    pin_threads()
    print(*main(quick=options.quick), sep="\n")
