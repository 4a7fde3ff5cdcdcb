"""Digits at growing condition numbers: a consistent system without noise, so that every error is rounding.

    python benchmarks/accuracy.py [--quick]

Per-sample designs of 20 parameters whose stack has the stated condition number. Normal equations lose
twice the digits and say nothing; the joint fit takes its stable path by itself.
"""

import warnings

import numpy as np
from timing import Goal, arguments, pin_threads

import fisherkit as fk

M, D = 10, 20


def make_samples(condition: float, *, noise: float = 0.0, n: int = 400, seed: int = 0) -> fk.Samples:
    """Observations, without noise by default, of designs U diag(s) V' with s spread evenly in logarithm.

    Args:
        condition: ratio of the largest to the smallest singular value of the stacked design.
        noise: std of the noise; the parameters are standard normal.
        n: samples.
        seed: of the orthogonal factors, parameters and noise.

    Returns:
        Samples with the planted parameters.
    """
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((n * M, D)))[0]
    right = np.linalg.qr(rng.standard_normal((D, D)))[0]
    rows = np.sqrt(n * M) * (left * np.geomspace(1.0, 1 / condition, D)) @ right.T
    shared, private = np.split(rows.reshape(n, M, D), 2, axis=-1)
    model = fk.LinearGaussian({"x": fk.Modality(shared, private)})
    theta = rng.standard_normal(D)
    data = (rows @ theta + noise * rng.standard_normal(n * M)).reshape(n, M)
    return fk.Samples(model, {"x": data}, theta)


def path(statistics: fk.Statistics) -> str:
    """Which form the statistics took: Gram (one fast pass) or root (a second, stable one).

    Args:
        statistics: of one modality.

    Returns:
        "gram" or "root".
    """
    return type(statistics.modalities["x"]).__name__.removesuffix("Statistics").lower()


def errors(condition: float) -> dict[str, float | str]:
    """Relative errors of three methods on one system.

    Args:
        condition: see `make_samples`.

    Returns:
        One row of the table.
    """
    samples = make_samples(condition)
    model, theta = samples.model, samples.theta
    design, target = model["x"].design().reshape(-1, D), samples["x"].reshape(-1)
    statistics = fk.accumulate(samples)
    estimate = fk.fit(statistics)
    try:
        normal = np.linalg.solve(design.T @ design, design.T @ target)
    except np.linalg.LinAlgError:
        normal = np.full(model.n_params, np.nan)

    def error(answer: np.ndarray) -> float:
        return float(np.linalg.norm(answer - theta) / np.linalg.norm(theta))

    return {
        "condition": float(np.linalg.cond(design)),
        "fisherkit": error(estimate.theta),
        "normal equations": error(normal),
        "numpy lstsq": error(np.linalg.lstsq(design, target, rcond=None)[0]),
        "path": path(statistics),
        "noisy path": path(fk.accumulate(make_samples(condition, noise=1e-3))),
        "rank": estimate.precision.rank,
    }


def main(*, quick: bool = False) -> list[Goal]:
    """Print the table.

    Args:
        quick: fewer conditions.

    Returns:
        Goals with the numbers measured.
    """
    print(
        f"\n{'condition':>10} {'fisherkit':>10} {'normal eq':>10} {'lstsq':>10}  rank  path taken  same with noise 1e-3"
    )
    worst = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would be an answer too; there should be none
        for exponent in (2, 8) if quick else range(2, 11):
            row = errors(10.0**exponent)
            print(
                f"{row['condition']:10.1e} {row['fisherkit']:10.1e} {row['normal equations']:10.1e} "
                f"{row['numpy lstsq']:10.1e}  {row['rank']:4}  {row['path']:10}  {row['noisy path']}"
            )
            # digits that the problem itself leaves: eps times the condition number
            worst = max(worst, row["fisherkit"] / (np.finfo(float).eps * row["condition"]))
    return [Goal("largest error / (eps x condition)", worst, 20, at_most=True, unit="")]


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    pin_threads()
    print(*main(quick=options.quick), sep="\n")
