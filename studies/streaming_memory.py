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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fisherkit as fk
from fisherkit.chunked import fit_chunks, from_npy
from neural.results.figures import error_bars, figure_style, place_style, save_figure
from neural.results.table import table, write_table
from neural.results.text import text_table
from studies.lab.memory import extra_peak
from studies.lab.options import command_parser, parsed, run_study
from studies.lab.outputs import write_summary

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
    """Files of n samples in a folder: observations, shared and private designs."""
    rng = np.random.default_rng(0)
    blocks = [rng.standard_normal((PATTERN, M, d)) for d in (SHARED, PRIVATE)]
    theta = np.linspace(-1, 1, LAYOUT.n_params)
    mean = np.concatenate(blocks, axis=2) @ theta
    observations, (shared, private) = mean + NOISE * rng.standard_normal(mean.shape), blocks
    paths = []
    for label, block in (("observations", observations), ("shared", shared), ("private", private)):
        paths.append(folder / f"{label}-{n}.npy")
        out = np.lib.format.open_memmap(paths[-1], mode="w+", dtype=np.float64, shape=(n, *block.shape[1:]))
        for start in range(0, n, PATTERN):
            out[start : start + PATTERN] = block[: n - start]
    return paths


def fit(way: str, paths: Sequence[Path]) -> np.ndarray:
    """Estimate (10,) from the files of `write_files`, by one of the `WAYS`."""
    if way == "streamed":
        return fit_chunks(LAYOUT, from_npy({"x": tuple(paths)}), noise_std={"x": NOISE}).theta
    x, shared, private = (np.load(path) for path in paths)
    if way == "loaded":
        model = fk.LinearGaussian({"x": fk.Modality(shared, private, noise_std=NOISE)})
        return fk.fit(fk.Samples(model, {"x": x})).theta
    design = np.concatenate([shared, private], axis=2).reshape(-1, SHARED + PRIVATE)
    return np.linalg.lstsq(design, x.reshape(-1), rcond=None)[0]


def _measure(way: str, small: Sequence[str], paths: Sequence[str]) -> dict[str, Any]:
    """Extra memory of one fit in this fresh process, after a small fit, so that imports are not counted."""
    fit(way, [Path(p) for p in small])
    estimates = []
    extra = extra_peak(lambda: estimates.append(fit(way, [Path(p) for p in paths])))
    return {"extra_mb": extra, "theta": estimates[0].tolist()}


def _rows(sizes: Sequence[int], *, repeats: int) -> pd.DataFrame:
    """Every way at every size, each in a process of its own; an error if two ways disagree about the estimate."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        small = write_files(Path(folder), PATTERN)
        for n in sizes:
            paths, theta = write_files(Path(folder), n), {}
            place = {"samples": n, "file_mb": sum(p.stat().st_size for p in paths) / 1e6}
            for way in [way for way in WAYS for _ in range(repeats)]:
                words = ["--measure", way, *map(str, small), *map(str, paths)]
                process = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True)
                found = json.loads(process.stdout)
                theta[way] = np.array(found.pop("theta"))
                rows.append({"way": way} | place | found)
            for way, estimate in theta.items():
                if not np.allclose(estimate, theta["lstsq"], rtol=1e-9):
                    raise RuntimeError(
                        f"{way} and lstsq disagree at {n} samples: {estimate} against {theta['lstsq']}"
                    )
            if n != PATTERN:
                for path in paths:
                    path.unlink()
    return table(rows)


def _draw(rows: pd.DataFrame, path: Path) -> None:
    """Extra memory against samples, one line per way."""
    shown = rows.assign(extra_mb=rows["extra_mb"].clip(lower=0.1))
    files = rows.drop_duplicates("samples")
    with figure_style():
        figure, axes = plt.subplots(figsize=(5.6, 3.8))
        for i, (way, label) in enumerate(WAYS.items()):
            found = shown[shown["way"] == way].groupby("samples")["extra_mb"].agg(["median", "min", "max"])
            bars = error_bars(found["median"], found["min"], found["max"])
            axes.errorbar(found.index, found["median"], bars, capsize=2, label=label, **place_style(i))
        sizes = files["samples"], files["file_mb"]
        axes.plot(*sizes, color="0.5", linewidth=0.9, linestyle=(0, (1, 2)), label="size of the files")
        axes.axhline(16, color="black", linewidth=0.8, linestyle="--")
        place = (files["samples"].max(), 16)
        axes.annotate("16 MB", place, (0, 3), textcoords="offset points", fontsize=7.5, ha="right")
        axes.set(xscale="log", yscale="log", xlabel="samples", ylabel="extra memory at the peak (MB)")
        axes.set_title("Memory of a fit: median, least and most")
        axes.legend()
        save_figure(figure, path)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, draw, write; returns the summary that is also written as JSON."""
    options = parsed(command_parser(__doc__), arguments)
    sizes = (3_000, 10_000, 30_000) if options.quick else (3_000, 10_000, 30_000, 100_000, 300_000)
    rows = _rows(sizes, repeats=1 if options.quick else 3)
    largest = rows[rows["samples"] == sizes[-1]].groupby("way", sort=False)["extra_mb"].max().to_dict()
    streamed = float(rows.loc[rows["way"] == "streamed", "extra_mb"].max())
    _draw(rows, options.out / f"{NAME}.png")
    write_table(options.out / f"{NAME}.csv", rows)
    summary = {
        "extra_mb_at_the_largest_size": largest,
        "streamed_extra_mb_at_any_size": streamed,
    }
    lines = [(WAYS[way], f"{megabytes:.1f} MB") for way, megabytes in largest.items()]
    print(text_table(["way", f"extra memory at {sizes[-1]:,} samples"], lines))
    print(f"streaming fit: at most {streamed:.1f} MB at any size")
    return write_summary(summary, options, NAME, {"sizes": sizes})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(_measure(sys.argv[2], sys.argv[3:6], sys.argv[6:9])))
    else:
        run_study(main)
