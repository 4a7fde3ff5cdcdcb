"""Contrasts: the only place where an interval or a p-value of a comparison is made; `means` makes that of a mean."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from fisherkit.checks import UnknownNameError
from neural.results.intervals import Interval, geometric_interval, mean_interval
from neural.results.text import interval_columns

__all__ = ["by_key", "contrast", "entries", "long_form", "means", "paired"]

_FOUND = ("estimate", "low", "high", "n", "p")


def paired(
    rows: pd.DataFrame,
    treated: str,
    control: str,
    by: Sequence[str] = (),
    over: str = "seed",
    *,
    value: str = "accuracy",
    column: str = "arm",
    ratio: bool = False,
) -> pd.DataFrame:
    """Differences treated - control, one per repetition.

    Args:
        rows: table; the order of its rows does not matter.
        treated: which rows are compared, by their entry in `column`.
        control: with which.
        by: columns that are the same within a comparison; there is one for each of their values.
        over: column that says which repetition a row is of: what has the same entry is a pair.
        value: column that is compared.
        column: where `treated` and `control` stand.
        ratio: ratios treated / control instead.

    Returns:
        Table with the columns `by`, `over` and `value`, sorted by `over`; itself a table to be compared.

    Raises:
        UnknownNameError: no such column, or no row of `treated` or `control`.
        ValueError: a row without its partner, two rows for one place, or a value that is not finite.

    Example:
        >>> rows = pd.DataFrame({"arm": ["a", "a", "b", "b"], "seed": [0, 1, 1, 0], "accuracy": [3.0, 5.0, 2.0, 1.0]})
        >>> paired(rows, "a", "b")["accuracy"].tolist()
        [2.0, 3.0]
    """
    _check_columns(rows, [column, *by, over, value])
    a, b = (_placed(rows, name, by, over, value, column) for name in (treated, control))
    for mine, other, have, lack in ((a, b, treated, control), (b, a, control, treated)):
        alone = mine.index.difference(other.index)
        if len(alone):
            raise ValueError(
                f"{_place(alone.names, alone[0])}: {column} {have!r} is there, but {lack!r} is not, so the pair is "
                "missing; compute that cell, or leave the repetition out of both"
            )
    found = a / b[a.index] if ratio else a - b[a.index]
    return found.rename(value).reset_index()


def contrast(
    rows: pd.DataFrame,
    treated: str,
    control: str,
    by: Sequence[str] = (),
    over: str = "seed",
    *,
    value: str = "accuracy",
    column: str = "arm",
    ratio: bool = False,
) -> pd.DataFrame:
    """Mean difference treated - control over paired repetitions, with its 95% Student t interval.

    Args:
        rows: table; the order of its rows does not matter.
        treated: which rows are compared, by their entry in `column`.
        control: with which.
        by: columns that are the same within a comparison; there is one for each of their values.
        over: column that says which repetition a row is of: what has the same entry is a pair.
        value: column that is compared.
        column: where `treated` and `control` stand.
        ratio: geometric mean of treated / control instead, its interval and test on the log scale.

    Returns:
        One row per comparison: the columns `by`, and estimate, low, high, n (pairs), p (of the paired t test; 1 or 0
        where all differences are equal, zero or not).

    Raises:
        UnknownNameError: no such column, or no row of `treated` or `control`.
        ValueError: a row without its partner, two rows for one place, a value that is not finite, or one pair alone.

    Example:
        >>> rows = pd.DataFrame({"arm": ["a", "a", "b", "b"], "seed": [0, 1, 1, 0], "accuracy": [3.0, 5.0, 2.0, 1.0]})
        >>> contrast(rows, "a", "b").round(3).to_dict("records")
        [{'estimate': 2.5, 'low': -3.853, 'high': 8.853, 'n': 2, 'p': 0.126}]
    """
    found = paired(rows, treated, control, by, over, value=value, column=column, ratio=ratio)
    return means(found, by, over, value=value, log=ratio)


def means(
    rows: pd.DataFrame,
    by: Sequence[str] = (),
    over: str = "seed",
    *,
    value: str = "accuracy",
    log: bool = False,
) -> pd.DataFrame:
    """Mean over repetitions with its 95% Student t interval.

    Args:
        rows: table; the order of its rows does not matter.
        by: columns; there is one mean for each of their values.
        over: column that says which repetition a row is of.
        value: column that is averaged.
        log: geometric mean instead, its interval and test on the log scale.

    Returns:
        One row per mean: the columns `by`, and estimate, low, high, n, p (that the mean is zero; that a geometric one
        is one).

    Raises:
        UnknownNameError: no such column.
        ValueError: two rows for one place, a value that is not finite, or one repetition alone.

    Example:
        >>> rows = pd.DataFrame({"shots": ["1", "1"], "seed": [0, 1], "accuracy": [50.0, 52.0]})
        >>> means(rows, ["shots"]).round(3).to_dict("records")
        [{'shots': '1', 'estimate': 51.0, 'low': 38.294, 'high': 63.706, 'n': 2, 'p': 0.012}]
    """
    _check_columns(rows, [*by, over, value])
    found = []
    for place, values in _groups(_indexed(rows, by, over, value), len(by)):
        try:
            interval = geometric_interval(values) if log else mean_interval(values)
        except ValueError as error:
            where = f"{_place(by, place)}: " if by else ""
            raise ValueError(f"{where}{value}: {error}") from None
        found.append((*place, *vars(interval).values(), _p_value(np.log(values) if log else values)))
    return pd.DataFrame(found, columns=[*by, *_FOUND])


def by_key(found: pd.DataFrame, *columns: str) -> dict[Any, Interval]:
    """Intervals of `contrast` or `means` by what they are of.

    Args:
        found: what these returned.
        *columns: one or several of their `by`.

    Returns:
        {entry, or tuple of entries: interval}.

    Example:
        >>> rows = pd.DataFrame({"shots": ["1", "1"], "seed": [0, 1], "accuracy": [50.0, 52.0]})
        >>> print(by_key(means(rows, ["shots"]), "shots")["1"])
        51 [38.29, 63.71]
    """
    keys = found[columns[0]] if len(columns) == 1 else zip(*(found[name] for name in columns), strict=True)
    numbers = zip(*(found[name] for name in _FOUND[:4]), strict=True)
    return {
        key: Interval(float(middle), float(low), float(high), int(n))
        for key, (middle, low, high, n) in zip(keys, numbers, strict=True)
    }


def entries(
    rows: pd.DataFrame,
    by: Mapping[str, Sequence[str]],
    against: Mapping[str, str] | None = None,
    *,
    value: str = "accuracy",
    name: str | None = None,
) -> list[dict[str, Any]]:
    """Means and differences to baselines, for a summary.

    Args:
        rows: table with the columns of `by`, "arm" among these, and seed.
        by: {column: its entries in the order wanted}; what the table does not have is left out.
        against: {name of a difference: baseline arm}; a baseline is not compared with itself nor with a later one.
        value: column.
        name: of the mean in the result, by default that of the column.

    Returns:
        One dictionary per place: the columns of `by`, the mean and the differences as intervals.
    """
    kept = rows[np.logical_and.reduce([rows[column].isin(some) for column, some in by.items()])]
    averages = by_key(means(kept, [*by], value=value), *by)
    rest = [column for column in by if column != "arm"]
    differences: dict[tuple[str, str, Any], Interval] = {}
    baselines = {what: arm for what, arm in (against or {}).items() if arm in set(kept["arm"])}
    for i, (what, baseline) in enumerate(baselines.items()):
        for arm in set(by["arm"]) & set(kept["arm"]) - {*list(baselines.values())[: i + 1]}:
            gains = by_key(contrast(kept, arm, baseline, rest, value=value), *rest)
            differences |= {(what, arm, place): gain for place, gain in gains.items()}
    found = []
    for place in itertools.product(*by.values()):
        if place in averages:
            entry: dict[str, Any] = dict(zip(by, place, strict=True))
            there = tuple(entry[column] for column in rest)
            entry[name or value] = averages[place]
            for what in baselines:
                key = (what, entry["arm"], there if len(there) > 1 else there[0])
                entry |= {what: differences[key]} if key in differences else {}
            found.append(entry)
    return found


def long_form(found: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, object]]:
    """The tables of a report in long form, for CSV: an interval becomes NAME, NAME_low and NAME_high.

    Args:
        found: from `entries`.
        columns: those that are written first.

    Returns:
        One row per entry.

    Example:
        >>> long_form([{"arm": "uml", "shots": "1", "gain": Interval(1.0, 0.5, 1.5, 3)}], ["shots", "arm"])
        [{'shots': '1', 'arm': 'uml', 'gain': 1.0, 'gain_low': 0.5, 'gain_high': 1.5}]
    """
    rows = []
    for entry in found:
        row: dict[str, object] = {name: entry[name] for name in columns}
        for name, interval in entry.items():
            row |= interval_columns(name, interval) if isinstance(interval, Interval) else {}
        rows.append(row)
    return rows


def _check_columns(rows: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in rows:
            raise UnknownNameError(name, rows.columns, "column")


def _placed(
    rows: pd.DataFrame, name: str, by: Sequence[str], over: str, value: str, column: str
) -> "pd.Series[float]":
    """The values of one arm by their places."""
    mine = rows[rows[column].eq(name)]
    if mine.empty:
        raise UnknownNameError(name, map(str, dict.fromkeys(rows[column])), column)
    return _indexed(mine, by, over, value, f"{column} {name!r}, ")


def _indexed(
    rows: pd.DataFrame, by: Sequence[str], over: str, value: str, of: str = ""
) -> "pd.Series[float]":
    """Values by their places, sorted by repetition; places in order of appearance."""
    values = (
        rows
        .set_index([*by, over])[value]
        .astype(float)
        .sort_index(level=over, kind="stable", sort_remaining=False)
    )
    if values.index.has_duplicates:
        place = _place(values.index.names, values.index[values.index.duplicated()][0])
        raise ValueError(
            f"{of}{place}: two rows for one place; keep one, or tell them apart by a column of `by`"
        )
    wrong = values[~np.isfinite(values)]
    if len(wrong):
        raise ValueError(
            f"{of}{_place(wrong.index.names, wrong.index[0])}: {value} is {wrong.iloc[0]}, not finite; leave out the "
            "cells where it is not defined"
        )
    return values


def _groups(
    values: "pd.Series[float]", columns: int
) -> Iterator[tuple[tuple[Any, ...], NDArray[np.float64]]]:
    """(place, values in order of repetition); the index's last level is the repetition."""
    if not columns:
        yield (), values.to_numpy()
        return
    for place, group in values.groupby(level=list(range(columns)), sort=False):
        yield place if isinstance(place, tuple) else (place,), group.to_numpy()


def _place(names: Iterable[object], place: object) -> str:
    entries = place if isinstance(place, tuple) else (place,)
    return ", ".join(f"{name} {entry}" for name, entry in zip(names, entries, strict=True))


def _p_value(values: NDArray[np.float64]) -> float:
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    if error == 0:
        return float(mean == 0)
    return float(2 * stats.t.sf(abs(mean) / error, len(values) - 1))
