"""The few-shot study's trainings: many heads side by side, against one after another.

    python benchmarks/few_shot.py [--quick] [--device cuda]

One after another is `neural.heads.training.train_head`, the plain loop with ``torch.optim.AdamW`` that the peers run
for every point of their grids. A cell is one training of UML on glyph-like shapes: 300 classes, 192 picture and 256
text features, one shot, b + b rows per step. Both ways train the same cells to the same validation curves first.
"""

import sys
from pathlib import Path

import numpy as np
from timing import ROUNDS, Goal, Timing, arguments, interleave, pin_threads, report, require_equal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CLASSES, PICTURE, TEXT = 300, 192, 256
BYTES_PER_STEP = (
    4 * 10 * (CLASSES * TEXT + TEXT * PICTURE)
)  # AdamW reads 4 and writes 3 numbers per weight; products 3


def cells(count: int, batch: int) -> list:
    """Runs that differ in seed and learning rate.

    Args:
        count: how many.
        batch: rows per modality and step.

    Returns:
        `neural.heads.runs.HeadRun`.
    """
    from neural.heads.runs import HeadRun
    from neural.tasks.task import Embeddings

    rng = np.random.default_rng(0)

    def rows(per_class: int, dim: int) -> Embeddings:
        labels = np.tile(np.arange(CLASSES), per_class)
        centres = np.random.default_rng(dim).normal(size=(CLASSES, dim))
        return Embeddings(centres[labels] + rng.normal(size=(len(labels), dim)), labels)

    train, val = {"image": rows(1, PICTURE), "text": rows(8, TEXT)}, rows(1, PICTURE)
    return [
        HeadRun(
            f"cell {i}",
            CLASSES,
            train,
            val,
            {"image": batch, "text": batch},
            seed=i // 2,
            learning_rate=(1e-3, 1e-2)[i % 2],
            head_dim=TEXT,
            projected=("image",),
        )
        for i in range(count)
    ]


def side_by_side(runs: list, schedule: object, workers: int) -> list:
    """Portions of runs beside each other, one thread each, as the study trains them.

    Args:
        runs: what to train.
        schedule: how long.
        workers: portions at a time.

    Returns:
        Fits, in the order of `runs`.
    """
    from tqdm import tqdm

    from neural.heads.sweep import heads_per_tensor, train_heads
    from neural.results.parallel import in_parallel

    size = heads_per_tensor("cpu")
    portions = [list(range(i, min(i + size, len(runs)))) for i in range(0, len(runs), size)]
    fits = {}
    with tqdm(disable=True) as bar:

        def work(portion: list, progress: object) -> list:
            return train_heads([runs[i] for i in portion], schedule, progress=progress)

        for portion, done in in_parallel(work, portions, workers, bar):
            fits |= dict(zip(portion, done, strict=True))
    return [fits[i] for i in range(len(runs))]


def compare(batch: int, *, quick: bool) -> dict[str, Timing]:
    """Time the ways on this machine's processor.

    Args:
        batch: rows per modality and step.
        quick: few cells and steps.

    Returns:
        {way: Timing}, seconds for all cells.
    """
    import torch

    from neural.heads.runs import Schedule
    from neural.heads.sweep import train_heads
    from neural.heads.training import train_head
    from neural.results.parallel import usable_cores

    cores = usable_cores()
    steps = 20 if quick else 200
    schedule = Schedule(iterations=steps, warmup=5, eval_every=steps // 2, patience=None)
    runs = cells(4 if quick else 8 * cores, batch)

    def plain(threads: int) -> list:
        torch.set_num_threads(threads)
        return [train_head(run, schedule) for run in runs]

    def engine() -> list:
        torch.set_num_threads(1)
        return train_heads(runs, schedule)

    methods = {
        f"engine, {cores} cores": lambda: side_by_side(runs, schedule, cores),
        f"one after another, {cores} threads": lambda: plain(cores),
        "engine, 1 thread": engine,
        "one after another, 1 thread": lambda: plain(1),
    }
    curves = {name: np.array([fit.val_loss for fit in method()]) for name, method in methods.items()}
    require_equal(curves, 1e-4, f"validation losses after {steps} steps")
    timings = interleave(methods, 3 if quick else ROUNDS, warm=False)
    torch.set_num_threads(1)
    notes = {
        name: f"{len(runs) / t.median:.3g} cells of {steps} steps per second" for name, t in timings.items()
    }
    report(f"{len(runs)} cells, {steps} steps, {batch} + {batch} rows per step", timings, notes=notes)
    return timings


def compare_on_gpu(batch: int, device: str, *, quick: bool) -> list[Goal]:
    """Time both ways on a GPU, with the memory traffic that the engine reaches.

    Args:
        batch: rows per modality and step.
        device: torch device.
        quick: few cells and steps.

    Returns:
        Goals with the numbers measured.
    """
    import torch

    from neural.heads.runs import Schedule
    from neural.heads.sweep import train_heads
    from neural.heads.training import train_head

    steps = 100 if quick else 400
    schedule = Schedule(iterations=steps, warmup=5, eval_every=100, patience=None)
    runs = cells(64 if quick else 1024, batch)

    def measure(work: object) -> float:
        torch.cuda.synchronize()
        timing = interleave({"": work}, 3)[""]  # type: ignore[dict-item]
        torch.cuda.synchronize()
        return timing.median

    few = runs[:4]
    answers = {
        "engine": np.array([fit.val_loss for fit in train_heads(few, schedule, device=device)]),
        "one after another": np.array([train_head(run, schedule, device=device).val_loss for run in few]),
    }
    require_equal(answers, 1e-3, f"validation losses after {steps} steps on {device}")
    engine = measure(lambda: train_heads(runs, schedule, device=device)) / len(runs)
    plain = measure(lambda: [train_head(run, schedule, device=device) for run in few]) / len(few)
    traffic = BYTES_PER_STEP * steps / engine / 1e9
    name = torch.cuda.get_device_name(device)
    print(
        f"\n{name}: engine {1 / engine:.3g} cells of {steps} steps per second ({traffic:.0f} GB/s of weights and moments), "
        f"one after another {1 / plain:.3g}"
    )
    return [
        Goal(
            f"cells per second on {name} against one after another, {batch} + {batch} rows",
            plain / engine,
            100,
        )
    ]


def main(*, quick: bool = False, device: str | None = None) -> list[Goal]:
    """Compare, time, print.

    Args:
        quick: few cells and steps.
        device: a GPU; default the first one, if there is one.

    Returns:
        Goals with the numbers measured.
    """
    import torch

    goals = []
    for batch in (8, 16, 32):
        timings = list(compare(batch, quick=quick).values())
        best_plain = min(timings[1].median, timings[3].median)
        goals.append(
            Goal(
                f"few-shot cells on all cores against the faster plain loop, {batch} + {batch} rows",
                best_plain / timings[0].median,
                3,
            )
        )
    if device is None and torch.cuda.is_available():
        device = "cuda"
    if device is not None:
        for batch in (8, 32):
            goals += compare_on_gpu(batch, device, quick=quick)
    return [] if quick else goals


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--device", help="a GPU, e.g. cuda")
    options = parser.parse_args()
    pin_threads()
    print(*main(quick=options.quick, device=options.device), sep="\n")
