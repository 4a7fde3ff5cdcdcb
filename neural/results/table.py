"""The one form in which results travel: a table with one row per cell (and test set).

A table is a pandas DataFrame; columns say what a row is of (arm, shots, seed, ...) and what came out (accuracy, ...).
`neural.results.contrasts` compares its rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neural.results.files import write_atomic

__all__ = ["by_measure", "by_test", "read_table", "shots_label", "table", "write_table"]

_ACCURACY = "accuracy_"


def shots_label(shots: int | None) -> str:
    """How tables and figures call k shots; None is the whole training pool."""
    return "all" if shots is None else str(shots)


def table(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """A table of dictionaries; whole numbers stay whole where some rows have none.

    Args:
        rows: one dictionary per row; entries left out are missing.

    Returns:
        Table, columns in order of appearance.

    Example:
        >>> table([{"arm": "uml", "step": 3}, {"arm": "matched"}])["step"].tolist()
        [3, <NA>]
    """
    rows = list(rows)
    made = pd.DataFrame(rows, columns=list(dict.fromkeys(name for row in rows for name in row)))
    for name in made:
        there = [row[name] for row in rows if row.get(name) is not None]
        if len(there) < len(rows) and there and all(type(value) is int for value in there):
            made[name] = pd.array([row.get(name) for row in rows], dtype="Int64")
    return made


def by_test(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per cell and test set, from one row per cell.

    Args:
        cells: with a column accuracy_TEST, a fraction, for every test set.

    Returns:
        Table with the columns test and accuracy, in percent, in their place.

    Raises:
        ValueError: no such column.

    Example:
        >>> by_test(pd.DataFrame({"seed": [0], "accuracy_test": [0.5], "accuracy_blur": [0.25]}))
           seed  test  accuracy
        0     0  test      50.0
        1     0  blur      25.0
    """
    tests = [name for name in cells if name.startswith(_ACCURACY)]
    if not tests:
        raise ValueError(f"no column {_ACCURACY}TEST among {', '.join(cells)}: not a table of cells")
    kept = [name for name in cells if name not in tests]
    made = cells.melt(id_vars=kept, value_vars=tests, var_name="test", value_name="accuracy")
    return made.assign(
        test=made["test"].str.removeprefix(_ACCURACY), accuracy=100 * made["accuracy"].astype(float)
    )


def by_measure(
    cells: pd.DataFrame, measures: Iterable[str], together: Sequence[str], *, column: str = "what"
) -> pd.DataFrame:
    """One row per cell and measure, where it is defined.

    Args:
        cells: with a column for every measure.
        measures: which.
        together: columns; cells that agree in these lose a measure that one of them lacks.
        column: for the name of the measure.

    Returns:
        Table with that column and value in place of the measures.

    Example:
        >>> cells = pd.DataFrame({"shots": ["1", "2"], "margin": [0.5, None]})
        >>> by_measure(cells, ["margin"], ["shots"]).to_dict("records")
        [{'shots': '1', 'what': 'margin', 'value': 0.5}]
    """
    measures = list(measures)
    kept = [name for name in cells if name not in measures]
    made = cells.melt(id_vars=kept, value_vars=measures, var_name=column, value_name="value")
    made["value"] = made["value"].astype(float)
    defined = np.isfinite(made["value"]).groupby([made[name] for name in (*together, column)])
    return made[defined.transform("all")].reset_index(drop=True)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote; numbers of shots are text, "all" being one of them."""
    return pd.read_csv(path, dtype={"shots": str}, keep_default_na=False, na_values=[""])


def write_table(path: Path, rows: pd.DataFrame) -> None:
    """Write a table as CSV, atomically; floats with all their digits, what is missing stays empty."""
    write_atomic(path, rows.to_csv(index=False, lineterminator="\n").encode())
