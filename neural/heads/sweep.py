"""Train many shared heads: all runs of one shape side by side in one tensor, each with its own settings and early stop.

`train_heads` returns what `neural.heads.training.train_head` returns for each run, up to rounding, whatever runs are
beside it; to the digit, if these are the same. Between two validations the host waits for nothing; on a GPU the step
is captured as a graph once and replayed.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from neural.heads.group import HeadGroup
from neural.heads.runs import HeadFit, HeadRun, Schedule
from neural.heads.training import train_head

__all__ = ["heads_per_tensor", "train_heads"]


def train_heads(
    runs: Sequence[HeadRun],
    schedule: Schedule,
    *,
    device: torch.device | str = "cpu",
    chunk: int | None = None,
    graph: bool | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[HeadFit]:
    """All runs, side by side where their shapes are equal; the same fits as `train_head`.

    Runs that train encoders go one after another. Where memory runs out, the group is halved and started again.

    Args:
        runs: what to train; any mixture of shapes, seeds and settings.
        schedule: how long, and when to look; the same for all.
        device: "cpu", "cuda", ...
        chunk: at most this many runs in one tensor, default `heads_per_tensor`; speed only, no effect on results.
        graph: whether to capture the step as a CUDA graph; None for yes on a GPU.
        progress: called with a number of run-steps whenever so many are done (or no longer needed).

    Returns:
        One fit per run, in the order of `runs`.

    Raises:
        ValueError: chunk below 1, or a graph without a GPU.
        RuntimeError: memory does not suffice for a single run (or whatever else PyTorch complains about).
        MemoryError: likewise, where the host says so.

    Example:
        >>> import numpy as np
        >>> from neural.labelled_rows import Embeddings
        >>> rows = Embeddings(np.eye(4), [0, 1, 2, 3], "image")
        >>> common = {"seed": 0, "learning_rate": 0.1}
        >>> runs = [HeadRun(f"draw {i}", 4, {"image": rows}, rows, {"image": 4}, **common) for i in range(3)]
        >>> fits = train_heads(runs, Schedule(iterations=20, warmup=0, eval_every=5))
        >>> [fit.accuracy(rows) for fit in fits]
        [1.0, 1.0, 1.0]
    """
    chunk = heads_per_tensor(device) if chunk is None else chunk
    if chunk < 1:
        raise ValueError(f"chunk: must be at least 1, got {chunk}")
    on_gpu = torch.device(device).type == "cuda"
    graph = on_gpu if graph is None else graph
    if graph and not on_gpu:
        raise ValueError(f"graph: only a CUDA device captures graphs, not {device!s}; leave it out")
    report = progress or (lambda count: None)
    fits: dict[int, HeadFit] = {}
    waiting = list(_groups(runs, chunk))
    while waiting:
        members = waiting.pop(0)
        if runs[members[0]].encoders:
            fits[members[0]] = train_head(runs[members[0]], schedule, device=device)
            report(schedule.iterations)
            continue
        done = 0

        def count(steps: int) -> None:
            nonlocal done
            done += steps
            report(steps)

        try:
            trained = _train_group([runs[i] for i in members], schedule, torch.device(device), graph, count)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error) or len(members) == 1:
                raise
            report(-done)
            half = len(members) // 2
            waiting[:0] = [members[:half], members[half:]]
            continue
        fits |= dict(zip(members, trained, strict=True))
    return [fits[i] for i in range(len(runs))]


def _train_group(
    runs: Sequence[HeadRun],
    schedule: Schedule,
    device: torch.device,
    graph: bool,
    progress: Callable[[int], object],
) -> list[HeadFit]:
    """In a function of its own: when it fails, its tensors are gone before a smaller group is built."""
    return HeadGroup(runs, device).train(schedule, graph=graph, progress=progress)


def heads_per_tensor(device: torch.device | str) -> int:
    """Runs to train side by side: on a CPU more than 4 leave the cache, an accelerator is busy only with many."""
    return 4 if torch.device(device).type == "cpu" else 1024


def _groups(runs: Sequence[HeadRun], chunk: int) -> Iterator[list[int]]:
    """Indices of runs that can share a tensor; those of one learning rate and decay lie together."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for i, run in enumerate(runs):
        key: tuple[object, ...] = (run.layout, tuple(run.batch_sizes[name] for name, _ in run.layout.dims))
        alike.setdefault((*key, i if run.encoders else None), []).append(i)
    for members in alike.values():
        members.sort(key=lambda i: (runs[i].learning_rate, runs[i].weight_decay, i))
        for part in np.array_split(members, -(-len(members) // chunk)):
            yield part.tolist()


_MEMORY_MESSAGES = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",  # what cuBLAS says where its workspace found no room
)


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or the one it was raised in place of, says that memory ran out."""
    while error is not None:
        if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
            return True
        if any(text in str(error) for text in _MEMORY_MESSAGES):
            return True
        error = error.__context__
    return False
