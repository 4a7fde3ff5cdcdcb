"""The paper's published numbers: all 29 tables as printed, and the words per image that figure captions state.

Source: Gupta, Sundaram, Wang, Jegelka and Isola, "Better Together: Leveraging Unpaired Multimodal Data for Stronger
Unimodal Models". The numbers stand in ``studies/published/table_01.csv`` ... ``table_29.csv`` and ``figures.csv``
digit for digit, printed averages included, right or wrong; `INCONSISTENCIES` lists those that do not follow from
their own row, ``docs/published.md`` whatever else disagrees.

Tables of numbers have one row per number and these columns:

- ``protocol``: few_shot_linear_probe, full_linear_probe, full_finetuning or self_supervised.
- ``vision``, ``text``: encoders, by short name. Empty where the paper names none: features that come with the data
  (MultiBench, Table 1) and Tables 25 and 26.
- ``shots``: labelled images (or clips) per class; empty for the full training set.
- ``dataset``: folder-style name; ``average`` is the printed average of the row.
- ``method``: unimodal, uml (random head) or uml_init (head initialised with mean text embeddings); ablations have
  names of their own. ``label`` is the method as printed. "Ours" of Table 2 is uml_init: Section 4.2 says so, and
  its numbers are the "Ours (init)" rows of Tables 8 and 17.
- ``metric``: accuracy in percent, or relative_improvement in percent (the parentheses of Tables 25 and 26).
- ``value``: the number.
- ``ratio`` (Tables 27 and 28): batches of text per batch of images. ``arrow`` (Tables 1 and 2): up or down.

Tables 3 (sizes of data sets), 4 (sample descriptions) and 5 (hyperparameter grid) have columns of their own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import pandas as pd

from fisherkit.checks import UnknownNameError, as_whole

__all__ = ["INCONSISTENCIES", "PRINTED_ENCODERS", "TABLES", "Inconsistency", "published", "reference"]

FOLDER = Path(__file__).resolve().parent
TABLES = range(1, 30)
# Tables 2, 24 and 27 to 29 repeat numbers of these or vary something that `reference` has no argument for.
MAIN_TABLES = (1, *range(6, 24), 25, 26)
WHOLE = ("shots", "figure", "classes", "train", "val", "test")
NUMBERS = ("value", "ratio")

#: {short name of an encoder (`neural.embed`): its name in the tables}, where the two differ.
PRINTED_ENCODERS = {"clip-vit-b16": "clip-b16"}

Selection = str | float | None


@dataclass(frozen=True)
class Inconsistency:
    """A printed number that is not what the printed numbers it summarises give.

    Attributes:
        table: number of the table.
        shots: per class; None for the full training set.
        dataset: ``average`` where the number is an average over data sets, else it is a relative improvement.
        method: as in the table.
        printed: the number in the paper.
        recomputed: from the printed cells, to four decimals: their mean, or 100 (value / unimodal - 1).
        within_rounding: whether rounding the cells and the result, each to its printed decimals, can account for it.
    """

    table: int
    shots: int | None
    dataset: str
    method: str
    printed: float
    recomputed: float
    within_rounding: bool


INCONSISTENCIES = (
    Inconsistency(2, None, "average", "unimodal", 81.54, 81.5478, True),
    Inconsistency(2, 1, "average", "unimodal", 45.52, 45.5256, True),
    Inconsistency(2, 1, "average", "uml_init", 51.36, 51.3667, True),
    Inconsistency(2, 2, "average", "uml_init", 60.85, 60.8578, True),
    Inconsistency(2, 4, "average", "uml_init", 68.53, 68.5389, True),
    Inconsistency(8, None, "average", "unimodal", 81.54, 81.5478, True),
    Inconsistency(9, None, "average", "uml_init", 86.77, 86.7756, True),
    Inconsistency(10, None, "average", "unimodal", 78.08, 78.0889, True),
    Inconsistency(12, None, "average", "unimodal", 83.40, 83.4078, True),
    Inconsistency(17, 2, "average", "unimodal", 55.73, 55.7400, True),
    Inconsistency(17, 4, "average", "unimodal", 65.12, 65.1290, True),
    Inconsistency(17, 4, "average", "uml", 66.71, 66.7170, True),
    Inconsistency(17, 16, "average", "unimodal", 76.22, 76.8650, False),
    Inconsistency(17, 16, "average", "uml", 77.80, 77.8110, False),
    Inconsistency(17, 16, "average", "uml_init", 78.81, 78.4040, False),
    Inconsistency(25, 1, "imagenet_esc_19", "audio+image+text", 54.4, 54.4823, True),
    Inconsistency(25, 2, "imagenet_esc_27", "audio+image+text", 33.4, 33.4537, True),
    Inconsistency(26, 1, "imagenet_esc_27", "image+audio+text", 59.5, 59.4433, True),
)
"""Every printed average and relative improvement that is not the rounded result of its printed cells.

The twelve averages within rounding all lie below the mean, as if cut off after two decimals instead of rounded.
"""


def published(table: int | Literal["figures"], **selection: Selection | Iterable[Selection]) -> pd.DataFrame:
    """Rows of one of the paper's tables, or the numbers that its figure captions state.

    Args:
        table: 1 to 29, or ``"figures"`` for the words per image of Figures 8, 9 and 14 to 29.
        **selection: a column's wanted value, several values, or None for empty entries.

    Returns:
        New frame with the columns that the module's docstring describes; whole numbers are nullable.

    Raises:
        ValueError: a table that the paper does not have.
        UnknownNameError: a column or a value that this table does not have.
        TypeError: text for a column of numbers, or the reverse.

    Example:
        >>> published(17, dataset="oxford_pets", shots=[1, 16], method="uml_init")[["shots", "value"]]
           shots  value
        0      1  73.59
        1     16  92.47
        >>> published("figures", figure=9)["value"].item()
        1034.0
    """
    if table != "figures" and (isinstance(table, bool) or table not in TABLES):
        raise ValueError(
            f"no table {table!r}: the paper has tables 1 to 29; 'figures' has what captions state"
        )
    frame = _read(table)
    where = "figures" if table == "figures" else f"Table {table}"
    chosen = pd.Series(True, index=frame.index)
    for column, wanted in selection.items():
        if column not in frame.columns:
            raise UnknownNameError(column, frame.columns, f"column of {where}")
        values = [wanted] if wanted is None or isinstance(wanted, str | float | int) else list(wanted)
        rows = [_equal(frame[column], value) for value in values]
        for value, found in zip(values, rows, strict=True):
            if not found.any():
                known = ["None" if pd.isna(name) else str(name) for name in frame[column].drop_duplicates()]
                raise UnknownNameError(value, known, f"{column} in {where}")
        chosen &= pd.concat(rows, axis=1).any(axis=1) if rows else False
    return frame[chosen].reset_index(drop=True)


def reference(
    dataset: str,
    shots: int | None,
    method: str,
    *,
    vision: str | None = "dinov2-s14",
    text: str | None = "openllama-3b",
    protocol: str | None = None,
) -> float | None:
    """The accuracy that the paper reports for one setting, to stand beside one's own.

    Printed averages are left out on purpose (some are wrong); average the data sets at hand instead.

    Args:
        dataset: e.g. ``"oxford_pets"``.
        shots: per class; None for the full training set.
        method: ``"unimodal"``, ``"uml"`` or ``"uml_init"``; on ImageNet-ESC the modalities, target first
            (``"audio+image+text"``).
        vision: image encoder, e.g. ``"clip-rn50"``; None where the paper names none (MultiBench, ImageNet-ESC).
        text: text encoder, likewise. A unimodal row has none, so it is ignored there.
        protocol: needed only where the paper has several for the full training set.

    Returns:
        Accuracy in percent, or None where the paper reports none: another data set or encoder, or a
        combination it does not have.

    Raises:
        UnknownNameError: an unknown method or protocol, or another spelling of a name that the paper has
            (``"OxfordPets"``).
        ValueError: shots that are not a whole number >= 1; several protocols fit and none is chosen.

    Example:
        >>> reference("oxford_pets", 1, "uml_init")
        73.59
        >>> reference("oxford_pets", None, "unimodal", vision="clip-rn50", text="clip-rn50",
        ...           protocol="full_linear_probe")
        88.39
        >>> reference("oxford_pets", 3, "uml") is None
        True
    """
    shots = None if shots is None else as_whole(shots, "shots", least=1)
    rows = _cells()
    for column, name in [("method", method), ("protocol", protocol)]:
        known = list(rows[column].unique())
        if name is not None and name not in known:
            raise UnknownNameError(name, known, column)
    for column, name in [("dataset", dataset), ("vision", vision), ("text", text)]:
        known = list(rows[column].dropna().unique())
        if name is not None and name not in known and _letters(name) in map(_letters, known):
            raise UnknownNameError(name, known, column)
    wanted: dict[str, str | int | None] = {
        "dataset": dataset,
        "shots": shots,
        "method": method,
        "vision": vision,
    }
    if method != "unimodal":
        wanted["text"] = text
    if protocol is not None:
        wanted["protocol"] = protocol
    for column, value in wanted.items():
        rows = rows[
            rows[column].isna() if value is None else rows[column].eq(value).fillna(False).astype(bool)
        ]
    if len(rows) > 1:
        raise ValueError(
            f"{dataset}, full training set: the paper has {' and '.join(rows['protocol'])}; choose one by protocol="
        )
    return float(rows["value"].item()) if len(rows) else None


def _equal(column: pd.Series, value: Selection) -> pd.Series:
    if value is None:
        return column.isna()
    if isinstance(value, str) == pd.api.types.is_numeric_dtype(column):
        kind = "a number" if isinstance(value, str) else "text"
        raise TypeError(f"{column.name}: expected {kind}, got {value!r}")
    return column.eq(value).fillna(False).astype(bool)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _read(table: int | Literal["figures"]) -> pd.DataFrame:
    path = FOLDER / ("figures.csv" if table == "figures" else f"table_{table:02d}.csv")
    # Only an empty field is missing: "N/A" or "None" in a table is text.
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    whole = {name: "Int64" for name in WHOLE if name in frame}
    return frame.astype(whole | {name: float for name in NUMBERS if name in frame})


@cache
def _cells() -> pd.DataFrame:
    rows = pd.concat([_read(table) for table in MAIN_TABLES], ignore_index=True)
    return rows[(rows["metric"] == "accuracy") & (rows["dataset"] != "average")]
