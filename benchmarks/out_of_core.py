"""Data beyond memory: fits from files against merely reading them, and Dask against one process.

    python benchmarks/out_of_core.py [--quick]

Two modalities, 50 coordinates per sample, 20 parameters (10 shared, 5 and 5 private), noise 0.3 and 0.6, designs
per sample unless said otherwise. Files lie in a temporary folder and in the page cache, so that reading them costs
memory bandwidth, not the disk; memory is measured in a fresh process per size, mapped pages of the files included.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import ROUNDS, Goal, arguments, interleave, pin_threads, report, require_equal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fisherkit as fk
from fisherkit.chunked import Chunks, accumulate_chunks, fit_chunks, from_npy, from_parquet
from studies.lab.memory import extra_peak

NOISE = {"x": 0.3, "y": 0.6}
M, SHARED, PRIVATE = 50, 10, 5
LAYOUT = fk.Layout(SHARED, dict.fromkeys(NOISE, PRIVATE))
PATTERN = 2_000  # distinct samples; files repeat them
THETA = np.linspace(-1.0, 1.0, LAYOUT.n_params)


def pattern(name: str) -> dict[str, np.ndarray]:
    """Distinct samples of one modality.

    Args:
        name: modality.

    Returns:
        {"observations", "shared", "private": array}.
    """
    rng = np.random.default_rng(sorted(NOISE).index(name))
    blocks = {w: rng.standard_normal((PATTERN, M, d)) for w, d in (("shared", SHARED), ("private", PRIVATE))}
    own = THETA[LAYOUT.columns(name)]
    mean = blocks["shared"] @ own[:SHARED] + blocks["private"] @ own[SHARED:]
    return {"observations": mean + NOISE[name] * rng.standard_normal(mean.shape), **blocks}


def write_npy(folder: Path, n_samples: int) -> dict[str, tuple[Path, ...]]:
    """Files of n_samples in all, half of each modality.

    Args:
        folder: where.
        n_samples: of both modalities together.

    Returns:
        {modality: paths of observations, shared and private designs}.
    """
    paths = {}
    for name in NOISE:
        listed = []
        for field, block in pattern(name).items():
            listed.append(folder / f"{name}-{field}-{n_samples}.npy")
            shape = (n_samples // 2, *block.shape[1:])
            out = np.lib.format.open_memmap(listed[-1], mode="w+", dtype=np.float64, shape=shape)
            for start in range(0, len(out), PATTERN):
                out[start : start + PATTERN] = block[: len(out) - start]
            out.flush()
        paths[name] = tuple(listed)
    return paths


def write_parquet(folder: Path, n_samples: int) -> dict[str, Path]:
    """The same samples as fixed-size list columns, one file per modality.

    Args:
        folder: where.
        n_samples: of both modalities together.

    Returns:
        {modality: path}.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = {}
    for name in NOISE:
        columns = {
            field: pa.FixedSizeListArray.from_arrays(block.reshape(-1), block[0].size)
            for field, block in pattern(name).items()
        }
        table = pa.table(columns)
        paths[name] = folder / f"{name}-{n_samples}.parquet"
        with pq.ParquetWriter(paths[name], table.schema, compression="none", use_dictionary=False) as writer:
            for start in range(0, n_samples // 2, PATTERN):
                writer.write_table(table[: n_samples // 2 - start], row_group_size=PATTERN)
    return paths


def read(paths: dict[str, tuple[Path, ...]], step_bytes: int = 4 << 20) -> float:
    """Read every number of the files once.

    Args:
        paths: what `write_npy` returned.
        step_bytes: read at a time.

    Returns:
        Squared length of all numbers.
    """
    total = 0.0
    for path in (path for listed in paths.values() for path in listed):
        mapped = np.load(path, mmap_mode="r")
        flat = np.asarray(mapped).reshape(-1)
        for start in range(0, flat.size, step_bytes // 8):
            part = flat[start : start + step_bytes // 8]
            total += float(np.dot(part, part))
    return total


def fit_files(chunks: Chunks) -> np.ndarray:
    """Joint fit of files with its covariance.

    Args:
        chunks: of both modalities.

    Returns:
        Estimate.
    """
    estimate = fit_chunks(LAYOUT, chunks, noise_std=NOISE)
    assert estimate.covariance.shape == (LAYOUT.n_params,) * 2
    return estimate.theta


def measure_memory(folder: Path, n_samples: int, kind: str) -> float:
    """Extra peak memory of a fit from files; meant for a process of its own.

    Args:
        folder: where files may be written.
        n_samples: of both modalities together.
        kind: "npy" or "parquet".

    Returns:
        Megabytes.
    """
    write, load = (write_npy, from_npy) if kind == "npy" else (write_parquet, from_parquet)
    fit_files(load(write(folder, 200)))  # imports and work spaces that stay
    chunks = load(write(folder, n_samples))
    return extra_peak(lambda: fit_files(chunks))


def memory_in_subprocess(n_samples: int, kind: str) -> float:
    """Run `measure_memory` in a fresh process.

    Args:
        n_samples: of both modalities together.
        kind: "npy" or "parquet".

    Returns:
        Megabytes.
    """
    command = [sys.executable, __file__, "--memory", kind, "--samples", str(n_samples)]
    # pyarrow's own pool keeps what the small call freed, and the large one would use it unseen
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    finished = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(finished.stdout.splitlines()[-1])


def against_reading(folder: Path, n_samples: int, rounds: int) -> list[Goal]:
    """Time fits from files and reading them.

    Args:
        folder: where files are written.
        n_samples: of both modalities together.
        rounds: of timing.

    Returns:
        Goals.
    """
    paths = write_npy(folder, n_samples)
    files, observed = from_npy(paths), {name: listed[0] for name, listed in paths.items()}
    size = sum(path.stat().st_size for listed in paths.values() for path in listed)
    mapped = {name: [np.load(path, mmap_mode="r") for path in listed] for name, listed in paths.items()}

    def one_shot() -> np.ndarray:
        modalities = {n: fk.Modality(c, s, noise_std=NOISE[n]) for n, (_, c, s) in mapped.items()}
        samples = fk.Samples(fk.LinearGaussian(modalities), {name: x for name, (x, _, _) in mapped.items()})
        return fk.fit(samples).theta

    require_equal({"files": fit_files(files), "one shot": one_shot()}, 1e-10, "estimates from files")
    timings = interleave(
        {
            "read the files": lambda: read(paths),
            "fit, mapped as one": one_shot,
            "fit_chunks": lambda: fit_files(files),
        },
        rounds,
    )
    notes = {"fit, mapped as one": "the files stay mapped"}
    report(f".npy, designs per sample, {n_samples:,} samples = {size / 1e6:.0f} MB", timings, notes=notes)
    overhead = timings["fit_chunks"].median / timings["fit, mapped as one"].median
    goals = [Goal("fit_chunks from .npy / fit of the same files mapped as one", overhead, 1.5, at_most=True)]

    repeated = fk.random_model(SHARED, dict.fromkeys(NOISE, PRIVATE), seed=0, obs_dim=M, noise_std=NOISE)
    chunks = from_npy(observed)
    timings = interleave(
        {
            "read the files": lambda: read({name: (path,) for name, path in observed.items()}),
            "fit_chunks": lambda: fit_chunks(repeated, chunks).covariance,
        },
        rounds,
    )
    report(f".npy, one design for all, {n_samples:,} samples = {n_samples * M * 8 / 1e6:.0f} MB", timings)
    goals.append(
        Goal("fit from .npy, one design / reading the files", _ratio(timings, "fit_chunks"), 3, at_most=True)
    )
    return goals


def against_dask(n_samples: int, rounds: int, *, peer: bool = False) -> list[Goal]:
    """Time Dask's schedulers against streaming the same arrays, and its own least squares against ours.

    Args:
        n_samples: of both modalities together.
        rounds: of timing.
        peer: whether to time Dask's own least squares too, which needs several copies of the stacked design.

    Returns:
        Goals.
    """
    import dask.array as da

    from fisherkit.cluster import accumulate_dask

    n, step = n_samples // 2, max(1, n_samples // 16)
    arrays = {
        name: tuple(np.resize(block, (n, *block.shape[1:])) for block in pattern(name).values())
        for name in NOISE
    }
    collections = {
        name: tuple(da.from_array(a, chunks=(step, *a.shape[1:]), name=False) for a in blocks)
        for name, blocks in arrays.items()
    }

    def chunks() -> list[dict[str, tuple]]:
        cuts = range(0, n, step)
        return [
            {name: tuple(a[i : i + step] for a in blocks)} for name, blocks in arrays.items() for i in cuts
        ]

    def ours(scheduler: str) -> np.ndarray:
        return fk.fit(accumulate_dask(LAYOUT, collections, scheduler, noise_std=NOISE)).theta

    def stream() -> np.ndarray:
        return fk.fit(accumulate_chunks(LAYOUT, chunks(), noise_std=NOISE)).theta

    methods: dict[str, Callable[[], np.ndarray]] = {
        "fit_chunks": stream,
        "fit_dask, synchronous": lambda: ours("synchronous"),
        "fit_dask, threads": lambda: ours("threads"),
    }
    if peer:
        methods["dask.array.linalg.lstsq"] = dask_lstsq(arrays, step * M)
    require_equal({name: method() for name, method in methods.items()}, 1e-9, "estimates by Dask")
    timings = interleave(methods, rounds, warm=False)
    notes = {"dask.array.linalg.lstsq": "stacked, whitened design given; one thread"}
    report(f"in memory, {n_samples:,} samples, {2 * -(-n // step)} partitions", timings, notes=notes)
    if peer:
        faster = timings["dask.array.linalg.lstsq"].median / timings["fit_dask, synchronous"].median
        return [Goal("times faster than dask.array.linalg.lstsq, one thread each", faster, 5)]
    overhead = _ratio(timings, "fit_dask, synchronous")
    return [Goal("fit_dask on one thread / fit_chunks", overhead, 1.4, at_most=True)]


def dask_lstsq(arrays: dict[str, tuple[np.ndarray, ...]], rows: int) -> Callable[[], np.ndarray]:
    """Dask's own least squares (TSQR) on one thread.

    Args:
        arrays: {modality: observations, shared and private designs}.
        rows: of a partition of the stacked design.

    Returns:
        Function that solves.
    """
    import dask
    import dask.array as da

    design, target = stack(arrays)
    stacked = da.from_array(design, chunks=(rows, design.shape[1])), da.from_array(target, chunks=rows)

    def solve() -> np.ndarray:
        with dask.config.set(scheduler="synchronous"):
            return da.linalg.lstsq(*stacked)[0].compute()

    return solve


def stack(arrays: dict[str, tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """The stacked, whitened design that Dask's least squares needs.

    Args:
        arrays: {modality: observations, shared and private designs}.

    Returns:
        Design (rows, 20) and observations (rows,).
    """
    designs, targets = [], []
    for name, (x, shared, private) in arrays.items():
        block = np.zeros((x.size, LAYOUT.n_params))
        block[:, LAYOUT.slices["shared"]] = shared.reshape(x.size, -1) / NOISE[name]
        block[:, LAYOUT.slices[name]] = private.reshape(x.size, -1) / NOISE[name]
        designs.append(block)
        targets.append(x.reshape(-1) / NOISE[name])
    return np.concatenate(designs), np.concatenate(targets)


def _ratio(timings: dict, name: str) -> float:
    return timings[name].median / next(iter(timings.values())).median


def main(*, quick: bool = False) -> list[Goal]:
    """Compare, time, measure memory, print; temporary files are deleted.

    Args:
        quick: small sizes.

    Returns:
        Goals with the numbers measured.
    """
    n_samples, rounds = (4_000, 3) if quick else (200_000, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        goals = against_reading(Path(folder), n_samples, rounds)
    try:
        goals += against_dask(4_000 if quick else 100_000, rounds)
        goals += against_dask(2_000 if quick else 20_000, rounds, peer=True)
    except ImportError:
        print("  Dask: skipped, not installed")
    for kind in ("npy", "parquet"):
        for n in (n_samples // 10, n_samples):
            extra = memory_in_subprocess(n, kind)
            print(f"  fit from {kind}, {n:,} samples = {n * M * 128 / 1e6:.0f} MB: +{extra:.1f} MB of memory")
            goals.append(
                Goal(f"extra memory from {kind}, {n:,} samples", extra, 16, at_most=True, unit=" MB")
            )
    return goals


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument(
        "--memory", choices=("npy", "parquet"), help="measure one kind's memory, print it as JSON"
    )
    parser.add_argument("--samples", type=int, default=20_000)
    options = parser.parse_args()
    pin_threads()
    if options.memory:
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps(measure_memory(Path(place), options.samples, options.memory)))
    else:
        print(*main(quick=options.quick), sep="\n")
