"""Which data each table and figure of the paper (Gupta et al. 2025) needs."""

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["RESULTS", "Result", "reproducible"]

_NINE = (
    "stanford_cars", "sun397", "fgvc_aircraft", "dtd", "ucf101", "food101", "oxford_pets", "oxford_flowers",
    "caltech101",
)  # fmt: skip
_TEN = (*_NINE, "imagenet")
_SHIFTS = ("imagenet", "imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r")
_EXCHANGE = (
    "sun397", "caltech101", "stanford_cars", "dtd", "fgvc_aircraft", "oxford_flowers", "food101", "ucf101",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """A table or figure, its data sets, and whether a column can be computed from its data set alone."""

    label: str
    about: str
    needs: tuple[str, ...]
    per_dataset: bool = False


RESULTS = (
    Result(
        "Table 1", "self-supervised, linear probe",
        ("mustard", "mimic", "mosei", "mosi", "ur_funny", "oxford_pets", "ucf101", "dtd"), True,
    ),
    Result("Table 2", "fine-tuning and few-shot probes, DINOv2 S/14", _NINE, True),
    Result("Figure 5", "shifted test sets, 16 shots", _SHIFTS),
    Result("Figure 6", "audio classification with images and text", ("esc50", "imagenet")),
    Result("Figure 7", "image transformer from BERT weights", ("imagenet",)),
    Result("Figures 8, 9", "words per image", ("oxford_pets",)),
    Result("Tables 6-9", "full fine-tuning, DINO and DINOv2", _NINE, True),
    Result("Tables 10-14", "linear probes on all data, DINO and DINOv2", _NINE, True),
    Result("Tables 15-19", "few-shot probes, DINO and DINOv2", _TEN, True),
    Result("Tables 20, 21", "fine-tuning and probes, CLIP", _NINE, True),
    Result("Tables 22, 23", "few-shot probes, CLIP", _TEN, True),
    Result("Figures 10-13", "shifted test sets, 1 to 8 shots", _SHIFTS),
    Result("Figures 14-29", "words per image, by data set", _EXCHANGE, True),
    Result("Figures 30-33", "language models, granularity and number of sentences", ("sun397",)),
    Result("Table 24", "unrelated text", ("sun397", "stanford_cars")),
    Result("Tables 25, 26; Figures 34-36", "three modalities", ("esc50", "imagenet")),
    Result("Tables 27, 28", "ratio of text to image batches", ("sun397",)),
    Result("Table 29", "frozen or trained text encoder", ("stanford_cars", "sun397"), True),
    Result("Figures 38-40", "decision boundaries", ("oxford_pets", "dtd", "oxford_flowers")),
    Result("Figures 41-44", "margins and prototypes", ("sun397",)),
)  # fmt: skip


def reproducible(ready: Collection[str]) -> dict[str, tuple[Result, ...]]:
    """Results by what the complete data sets allow: {"whole": all data, "partly": some columns, "not": rest}."""
    sorted_: dict[str, list[Result]] = {"whole": [], "partly": [], "not": []}
    for result in RESULTS:
        there = [key for key in result.needs if key in ready]
        how = "not"
        if len(there) == len(result.needs):
            how = "whole"
        elif there and result.per_dataset:
            how = "partly"
        sorted_[how].append(result)
    return {how: tuple(results) for how, results in sorted_.items()}
