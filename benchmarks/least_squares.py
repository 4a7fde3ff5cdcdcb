"""Joint least squares from per-sample designs, covariance and estimability report included, against the peers.

    python benchmarks/least_squares.py [--quick]

Two modalities, 50 coordinates per sample, 20 parameters (10 shared, 5 and 5 private), noise 0.3 and 0.6. Peers
get the stacked, whitened design for free (weighted least squares gets the unwhitened one and weights);
memory is measured in a fresh process per method.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from timing import (
    ROUNDS,
    Goal,
    arguments,
    available_memory,
    interleave,
    pin_threads,
    report,
    require_equal,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fisherkit as fk
from studies.lab.memory import extra_peak

NOISE = {"x": 0.3, "y": 0.6}
M, SHARED, PRIVATE = 50, 10, 5


def make_samples(n_samples: int, seed: int = 0, pattern: int = 20_000) -> fk.Samples:
    """Standard normal designs and parameters; n_samples in all, half of each modality.

    Args:
        n_samples: samples of both modalities together.
        seed: of the draws.
        pattern: distinct samples per modality; they repeat beyond that, each with a copy of its own in memory.

    Returns:
        Simulated samples.
    """
    rng = np.random.default_rng(seed)
    n, modalities = n_samples // 2, {}
    for name, std in NOISE.items():
        blocks = [_repeat(rng.standard_normal((min(n, pattern), M, d)), n) for d in (SHARED, PRIVATE)]
        modalities[name] = fk.Modality(*blocks, noise_std=std)
    model = fk.LinearGaussian(modalities)
    few = fk.simulate(model, min(n, pattern), seed=seed + 1)
    return fk.Samples(model, {name: _repeat(x, n) for name, x in few.data.items()}, few.theta)


def _repeat(block: np.ndarray, n: int) -> np.ndarray:
    out = np.empty((n, *block.shape[1:]))
    for start in range(0, n, len(block)):
        out[start : start + len(block)] = block[: n - start]
    return out


def stack(samples: fk.Samples, *, whitened: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a user of the other libraries assembles first.

    Args:
        samples: of this file's model.
        whitened: divide by the noise std.

    Returns:
        Design (rows, 20), observations (rows,) and weights (rows,).
    """
    model = samples.model
    rows = [x.size for x in samples.data.values()]
    design = np.zeros((sum(rows), model.n_params))
    target, weights = np.empty(sum(rows)), np.empty(sum(rows))
    start = 0
    for (name, x), size in zip(samples.data.items(), rows, strict=True):
        part, scale = slice(start, start + size), NOISE[name] if whitened else 1.0
        design[part, model.slices["shared"]] = model[name].shared.reshape(size, -1) / scale
        design[part, model.slices[name]] = model[name].private.reshape(size, -1) / scale
        target[part] = x.reshape(-1) / scale
        weights[part] = NOISE[name] ** -2
        start += size
    return design, target, weights


def ours(samples: fk.Samples) -> tuple[np.ndarray, np.ndarray]:
    """The joint fit with its covariance and its report of what is estimable.

    Args:
        samples: of this file's model.

    Returns:
        Estimate and standard errors.
    """
    estimate = fk.fit(samples)
    std_error = np.sqrt(estimate.covariance.diagonal())
    assert estimate.null_basis.shape[1] == 0
    return estimate.theta, std_error


def ours_from_arrays(samples: fk.Samples) -> tuple[np.ndarray, np.ndarray]:
    """The same, with the model and the samples built and checked from raw arrays.

    Args:
        samples: whose arrays are taken.

    Returns:
        Estimate and standard errors.
    """
    modalities = {
        name: fk.Modality(m.shared, m.private, noise_std=m.noise_std)
        for name, m in samples.model.modalities.items()
    }
    return ours(fk.Samples(fk.LinearGaussian(modalities), samples.data))


def wls(design: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares of statsmodels with standard errors (in units of the declared noise).

    Args:
        design: stacked, unwhitened.
        target: observations.
        weights: inverse noise variances.

    Returns:
        Estimate and standard errors.
    """
    import statsmodels.api as sm

    fitted = sm.WLS(target, design, weights=weights).fit()
    return fitted.params, fitted.bse / np.sqrt(fitted.scale)


def peers(samples: fk.Samples) -> dict[str, Callable[[], np.ndarray]]:
    """Estimates by the peers that are installed.

    Args:
        samples: of this file's model.

    Returns:
        {method: function}.
    """
    design, target, _ = stack(samples)
    methods: dict[str, Callable[[], np.ndarray]] = {
        "numpy lstsq": lambda: np.linalg.lstsq(design, target, rcond=None)[0],
        "numpy normal equations": lambda: np.linalg.solve(design.T @ design, design.T @ target),
    }
    try:
        from sklearn.linear_model import LinearRegression
    except ImportError:
        return methods
    methods["scikit-learn LinearRegression"] = lambda: (
        LinearRegression(fit_intercept=False).fit(design, target).coef_
    )
    try:
        from sklearnex.linear_model import IncrementalLinearRegression
    except ImportError:
        return methods

    def incremental() -> np.ndarray:
        model = IncrementalLinearRegression(fit_intercept=False)
        for start in range(0, len(design), 100_000):
            part = slice(start, start + 100_000)
            model.partial_fit(design[part], target[part])
        return model.coef_

    methods["sklearnex Incremental"] = incremental
    return methods


def _methods(samples: fk.Samples) -> dict[str, Callable[[], Any]]:
    methods: dict[str, Callable[[], Any]] = {
        "fisherkit": lambda: ours(samples),
        "fisherkit, arrays checked too": lambda: ours_from_arrays(samples),
        **peers(samples),
    }
    try:
        import statsmodels.api  # noqa: F401
    except ImportError:
        return methods
    raw = stack(samples, whitened=False)
    methods["statsmodels WLS"] = lambda: wls(*raw)
    return methods


def measure_memory(method: str, n_samples: int, rounds: int) -> dict[str, float]:
    """Extra peak memory and time of one method; meant for a process of its own.

    Args:
        method: a name from the table.
        n_samples: samples of both modalities together.
        rounds: timed repeats after the memory measurement.

    Returns:
        {"extra_mb": ..., "seconds": median, "rounds": n}.
    """
    small = make_samples(200)
    warm = {"fisherkit": lambda: ours(small)} if method == "fisherkit" else _methods(small)
    warm[method]()  # imports and work spaces that stay
    samples = make_samples(n_samples)
    run = (lambda: ours(samples)) if method == "fisherkit" else _methods(samples)[method]
    taken, extra = [], extra_peak(run)
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return {"extra_mb": extra, "seconds": median(taken) if taken else float("nan"), "rounds": rounds}


def memory_in_subprocess(method: str, n_samples: int, rounds: int = 0) -> dict[str, float]:
    """Run `measure_memory` in a fresh process.

    Args:
        method: a name from the table.
        n_samples: samples of both modalities together.
        rounds: timed repeats.

    Returns:
        What `measure_memory` returns.
    """
    command = [
        sys.executable,
        __file__,
        "--memory",
        method,
        "--samples",
        str(n_samples),
        "--rounds",
        str(rounds),
    ]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(finished.stdout.splitlines()[-1])


def main(*, quick: bool = False) -> list[Goal]:
    """Compare, time, measure memory, print.

    Args:
        quick: a tenth of the size.

    Returns:
        Goals with the numbers measured.
    """
    n_samples, rounds = (10_000, 3) if quick else (100_000, ROUNDS)
    samples = make_samples(n_samples, pattern=n_samples)
    methods = _methods(samples)
    answers = {name: method() for name, method in methods.items()}
    estimates = {name: a[0] if isinstance(a, tuple) else a for name, a in answers.items()}
    errors = {name: a[1] for name, a in answers.items() if isinstance(a, tuple)}
    require_equal(estimates, 1e-10, "estimates")
    require_equal(errors, 1e-10, "standard errors (ours, statsmodels)")
    timings = interleave(methods, rounds, warm=False)
    notes = {name: f"+{memory_in_subprocess(name, n_samples)['extra_mb']:.0f} MB" for name in methods}
    title = f"joint least squares, {n_samples:,} samples = {n_samples * M:,} rows, 20 parameters"
    report(title, timings, notes=notes)
    goals = [
        Goal(f"times faster than {name}", timings[name].median / timings["fisherkit"].median, wanted)
        for name, wanted in (
            ("statsmodels WLS", 50),
            ("numpy lstsq", 10),
            ("scikit-learn LinearRegression", 10),
            ("sklearnex Incremental", 1.3),
        )
        if name in timings
    ]
    for n in (n_samples,) if quick else (n_samples, 1_000_000):
        if available_memory() < 1.2 * n * M * 16 * 8:
            print(f"  {n:,} samples: skipped, their arrays do not fit into the memory that is free")
            continue
        result = memory_in_subprocess("fisherkit", n, rounds)
        print(
            f"  fisherkit, {n:,} samples in a process of its own: {result['seconds']:.3g} s "
            f"(median, n={result['rounds']}), +{result['extra_mb']:.1f} MB; a stacked design would need "
            f"{n * M * 20 * 8 / 1e9:.1f} GB before any copies"
        )
        goals.append(Goal(f"extra memory at {n:,} samples", result["extra_mb"], 16, at_most=True, unit=" MB"))
    return goals


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--memory", metavar="METHOD", help="measure one method's memory and print it as JSON")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=0)
    options = parser.parse_args()
    pin_threads()
    if options.memory:
        print(json.dumps(measure_memory(options.memory, options.samples, options.rounds)))
    else:
        print(*main(quick=options.quick), sep="\n")
