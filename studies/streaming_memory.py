"""Memory of a fit against the number of samples: streaming from files, and what loading and stacking them takes.

    python studies/streaming_memory.py             # 3,000 to 300,000 samples, about a minute, 0.5 GB of temporary files
    python studies/streaming_memory.py --quick     # up to 30,000

One modality with a design per sample (20 coordinates, 8 shared and 2 private parameters), in .npy files. Each dot is the
peak resident memory of a process of its own beyond what it held after a small fit, mapped pages of the files included.
Sufficient statistics of a chunk are added to those of the chunks before it (`fisherkit.chunked`), so the streaming fit
should stay flat; the others grow with the data. All three must give the same estimate. Linux only: elsewhere the kernel
has no high-water mark that can be reset.

Writes streaming_memory.png, .csv and .json.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fisherkit as fk
from fisherkit.chunked import fit_chunks, from_npy
from studies import harness
from studies.lab.memory import extra_peak

NAME = "streaming_memory"
M, SHARED, PRIVATE, NOISE = 20, 8, 2, 0.5
LAYOUT = fk.Layout(SHARED, {"x": PRIVATE})
PATTERN = 1_000  # distinct samples; files repeat them, so that sizes differ in nothing but their number
WAYS = {
    "streamed": "streamed from files",
    "loaded": "loaded, then fitted",
    "lstsq": "loaded, numpy.linalg.lstsq",
}


def write_files(folder: Path, n: int) -> list[Path]:
    """Observations, shared and private designs of n samples.

    Args:
        folder: where.
        n: number of samples.

    Returns:
        Three paths.
    """
    rng = np.random.default_rng(0)
    blocks = [rng.standard_normal((PATTERN, M, d)) for d in (SHARED, PRIVATE)]
    theta = np.linspace(-1, 1, LAYOUT.n_params)
    mean = np.concatenate(blocks, axis=2) @ theta
    paths = []
    for label, block in zip(
        ("observations", "shared", "private"),
        (mean + NOISE * rng.standard_normal(mean.shape), *blocks),
        strict=True,
    ):
        paths.append(folder / f"{label}-{n}.npy")
        out = np.lib.format.open_memmap(paths[-1], mode="w+", dtype=np.float64, shape=(n, *block.shape[1:]))
        for start in range(0, n, PATTERN):
            out[start : start + PATTERN] = block[: n - start]
    return paths


def fit(way: str, paths: Sequence[Path]) -> np.ndarray:
    """Estimate from the files.

    Args:
        way: a key of `WAYS`.
        paths: of `write_files`.

    Returns:
        (10,) estimate.
    """
    if way == "streamed":
        return fit_chunks(LAYOUT, from_npy({"x": tuple(paths)}), noise_std={"x": NOISE}).theta
    x, shared, private = (np.load(path) for path in paths)
    if way == "loaded":
        model = fk.LinearGaussian({"x": fk.Modality(shared, private, noise_std=NOISE)})
        return fk.fit(fk.Samples(model, {"x": x})).theta
    design = np.concatenate([shared, private], axis=2).reshape(-1, SHARED + PRIVATE)
    return np.linalg.lstsq(design, x.reshape(-1), rcond=None)[0]


def measure(way: str, small: Sequence[str], paths: Sequence[str]) -> dict[str, Any]:
    """Extra memory of one fit, in this process; meant for a fresh one.

    Args:
        way: a key of `WAYS`.
        small: files of a small fit that comes first, so that imports are not counted.
        paths: files of the fit.

    Returns:
        {"extra_mb": ..., "theta": [...]}.
    """
    fit(way, [Path(p) for p in small])
    estimates = []
    extra = extra_peak(lambda: estimates.append(fit(way, [Path(p) for p in paths])))
    return {"extra_mb": extra, "theta": estimates[0].tolist()}


def rows(sizes: Sequence[int], *, repeats: int) -> list[dict[str, Any]]:
    """Measure every way at every size, each in a process of its own.

    Args:
        sizes: numbers of samples.
        repeats: processes per way and size.

    Returns:
        One row per process.

    Raises:
        RuntimeError: two ways disagree about the estimate.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        small = write_files(Path(folder), PATTERN)
        for n in sizes:
            paths = write_files(Path(folder), n)
            for way in WAYS:
                for _ in range(repeats):
                    words = [way, *map(str, small), *map(str, paths)]
                    output = subprocess.run(
                        [sys.executable, __file__, "--measure", *words],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout
                    row = json.loads(output)
                    found.append({
                        "way": way, "samples": n, "file_mb": sum(p.stat().st_size for p in paths) / 1e6, **row,
                    })  # fmt: skip
            theta = {row["way"]: np.array(row.pop("theta")) for row in found if "theta" in row}
            for way, estimate in theta.items():
                if not np.allclose(estimate, theta["lstsq"], rtol=1e-9):
                    raise RuntimeError(
                        f"{way} and lstsq disagree at {n} samples: {estimate} against {theta['lstsq']}"
                    )
            if n != PATTERN:
                for path in paths:
                    path.unlink()
    return found


def draw(found: Sequence[dict[str, Any]], path: Path) -> None:
    """Extra memory against samples, one line per way.

    Args:
        found: rows.
        path: target, PNG.
    """
    import matplotlib.pyplot as plt

    sizes = sorted({row["samples"] for row in found})
    with harness.figure_style():
        figure, axes = plt.subplots(figsize=(5.6, 3.8))
        for i, (way, label) in enumerate(WAYS.items()):
            values = [[r["extra_mb"] for r in found if r["way"] == way and r["samples"] == n] for n in sizes]
            middle = np.maximum([np.median(v) for v in values], 0.1)
            ends = np.maximum([[min(v) for v in values], [max(v) for v in values]], 0.1)
            axes.errorbar(
                sizes, middle, np.abs(ends - middle), capsize=2, label=label, **harness.line_style(i)
            )
        files = [next(r["file_mb"] for r in found if r["samples"] == n) for n in sizes]
        axes.plot(sizes, files, color="0.5", linewidth=0.9, linestyle=(0, (1, 2)), label="size of the files")
        axes.axhline(16, color="black", linewidth=0.8, linestyle="--")
        axes.annotate("16 MB", (sizes[-1], 16), (0, 3), textcoords="offset points", fontsize=7.5, ha="right")
        axes.set(xscale="log", yscale="log", xlabel="samples", ylabel="extra memory at the peak (MB)")
        axes.set_title("Memory of a fit: median, least and most")
        axes.legend()
        harness.save_figure(figure, path)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, draw, write.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    options = harness.parser(__doc__).parse_args(arguments)
    sizes = (3_000, 10_000, 30_000) if options.quick else (3_000, 10_000, 30_000, 100_000, 300_000)
    found = rows(sizes, repeats=1 if options.quick else 3)
    largest = {
        way: max(r["extra_mb"] for r in found if r["way"] == way and r["samples"] == sizes[-1])
        for way in WAYS
    }
    streamed = [r["extra_mb"] for r in found if r["way"] == "streamed"]
    draw(found, options.out / f"{NAME}.png")
    harness.write_csv(options.out / f"{NAME}.csv", found)
    seconds = time.perf_counter() - began
    summary = {
        "extra_mb_at_the_largest_size": largest,
        "streamed_extra_mb_at_any_size": max(streamed),
        "provenance": harness.provenance(config={"sizes": sizes}, seconds=seconds),
    }
    harness.write_json(options.out / f"{NAME}.json", summary)
    print(
        harness.table(
            ["way", f"extra memory at {sizes[-1]:,} samples"],
            [(WAYS[way], f"{mb:.1f} MB") for way, mb in largest.items()],
        )
    )
    print(f"streaming fit: at most {max(streamed):.1f} MB at any size; wall time {seconds:.0f} s")
    print(f"figure {options.out / NAME}.png")
    return summary


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3:6], sys.argv[6:9])))
    else:
        main()
