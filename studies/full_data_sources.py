"""Fine-tuning on images on disk: the pretrained encoder whose features a task holds, trained on the images themselves."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from neural.data.pixels import PixelEncoder, keep_pixels
from neural.data.task import Numbered, Task
from neural.datasets import SPECS, ImageDataset, load, open_dataset
from neural.encoders import Encoder
from neural.heads.runs import Schedule
from studies.full_data_cells import FineTuning
from studies.head_presets import PRESETS

__all__ = ["PAPER_BATCH", "PAPER_RATE", "image_files", "image_fine_tuning", "tuning_differences"]

PAPER_RATE, PAPER_BATCH = 5e-5, 64  # of full fine-tuning (the paper's Appendix B.4.2)


def image_files(dataset: str, root: Path, *, seed: int) -> ImageDataset:
    """The files behind a task of `studies.task_sources.encoded_task`.

    Args:
        dataset: key, or path of a folder or list.
        root: data root.
        seed: deals the parts of a folder that has none.

    Returns:
        ImageDataset.
    """
    return load(dataset, root) if dataset in SPECS else open_dataset(dataset, seed=seed)


def image_fine_tuning(
    task: Task,
    images: ImageDataset,
    vision: Encoder,
    schedule: Schedule,
    learning_rates: Sequence[float],
    batch_size: int,
    *,
    cache: Path,
) -> FineTuning:
    """Fine-tuning of the encoder of images behind a task's features; auxiliary rows stay the frozen features.

    Args:
        task: features of all images, and of sentences.
        images: the files; whole parts, as in the task.
        vision: the encoder that made the features.
        schedule: of each training.
        learning_rates: to choose from.
        batch_size: images per step.
        cache: folder that keeps the prepared images.

    Returns:
        FineTuning, with the test set of the training law alone; its rows are numbers of images.

    Raises:
        ValueError: an encoder without weights, an image that cannot be read.
    """
    parts = images.parts
    files = [file for items in parts.values() for file in items.files]
    pixels, numbers = keep_pixels(vision, files, cache=cache)
    ends = np.cumsum([len(items) for items in parts.values()])[:-1]
    rows = {
        name: Numbered(part, items.labels, "picture")
        for (name, items), part in zip(parts.items(), np.split(numbers, ends), strict=True)
    }
    pictures = replace(
        task,
        train=rows["train"],
        val=rows["val"],
        tests={next(iter(task.tests)): rows["test"]},
        aligned=False,
        subsets={},
        among={},
    )
    tower = PixelEncoder(vision, pixels)
    return FineTuning(
        pictures, tower, schedule, tuple(learning_rates), batch_size, task.aligned, tower.source
    )


def tuning_differences(tuning: FineTuning, seeds: int) -> list[str]:
    """What differs from the paper's full fine-tuning, in words.

    Args:
        tuning: from `image_fine_tuning`.
        seeds: paired repetitions.

    Returns:
        One text per difference.
    """
    paper = PRESETS["paper"]
    there = asdict(paper.schedule)
    pairs: list[tuple[str, object, object]] = [("seeds", seeds, paper.seeds)]
    pairs += [
        (f"schedule: {name.replace('_', ' ')}", value, there[name])
        for name, value in asdict(tuning.schedule).items()
    ]
    pairs.append((
        "learning rates",
        ", ".join(f"{rate:g}" for rate in tuning.learning_rates),
        f"{PAPER_RATE:g}",
    ))
    pairs.append(("batch size", tuning.batch_size, PAPER_BATCH))
    texts = [f"{name} {ours} (paper {theirs})" for name, ours, theirs in pairs if ours != theirs]
    return [*texts, "text encoder unfrozen: a linear layer behind it is trained (paper the encoder itself)"]
