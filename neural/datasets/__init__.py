"""Data sets on disk: found, checked, and turned into lists of files, labels and sentences; nothing is downloaded.

`load("oxford_pets", root)` reads one of the paper's image data sets, `open_dataset(path)` one's own; `python -m neural doctor --data ROOT` says what is there and what to fetch.

Other sources have a module each: `shifted_imagenet`, `descriptions`, `multibench`, `audio`, `hub`.
"""

from neural.datasets.items import FewShotItems, ImageDataset, Items
from neural.datasets.reading import DatasetError, MissingError
from neural.datasets.registry import SPECS, load, load_few_shot, load_texts, register, spec_of
from neural.datasets.spec import DatasetSpec
from neural.datasets.user_data import open_dataset, open_texts

__all__ = [
    "SPECS",
    "DatasetError",
    "DatasetSpec",
    "FewShotItems",
    "ImageDataset",
    "Items",
    "MissingError",
    "load",
    "load_few_shot",
    "load_texts",
    "open_dataset",
    "open_texts",
    "register",
    "spec_of",
]
