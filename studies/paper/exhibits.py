"""The paper's figures and tables: what each claims, which study stands for it, on which data it was made (exhibits.csv)."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EXHIBITS", "FIGURES", "TABLES", "Exhibit", "Item", "check_numbers", "contents"]

Item = tuple[str, int]  # ("Figure" or "Table", number)
FIGURES, TABLES = range(1, 45), range(1, 30)  # of the paper


@dataclass(frozen=True)
class Exhibit:
    """A figure or table of the paper.

    Attributes:
        kind: "Figure" or "Table".
        number: in the paper.
        title: what it shows.
        claim: what the paper concludes from it; empty for schematics and for tables about data and settings.
        study: that stands for it, by the name of its script.
        job: run of that study on the embedded data.
        published: file of `studies/published` with its numbers; empty where it prints none.
        datasets: of the paper, where `published` does not name them.
        encoders: likewise, of the target and of the auxiliary.
    """

    kind: str
    number: int
    title: str
    claim: str
    study: str
    job: str
    published: str
    datasets: tuple[str, ...]
    encoders: tuple[str, ...]

    @property
    def name(self) -> str:
        """Kind and number."""
        return f"{self.kind} {self.number}"


def _read(path: Path) -> dict[Item, Exhibit]:
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["kind"], int(row["number"])): _exhibit(**row) for row in csv.DictReader(file)}


def _exhibit(*, number: str, datasets: str, encoders: str, **texts: str) -> Exhibit:
    return Exhibit(
        number=int(number), datasets=tuple(datasets.split()), encoders=tuple(encoders.split()), **texts
    )


#: All 44 figures and 29 tables, in order.
EXHIBITS = _read(Path(__file__).with_name("exhibits.csv"))


def contents(figures: Sequence[int], tables: Sequence[int]) -> str:
    """Figures and tables in words.

    Args:
        figures: numbers in the paper.
        tables: likewise.

    Returns:
        Text.

    Example:
        >>> contents([5, 10, 11, 12], [2])
        'Figures 5, 10-12; Table 2'
    """
    parts = [
        f"{kind}{'s' if len(numbers) > 1 else ''} {_ranges(numbers)}"
        for kind, numbers in (("Figure", figures), ("Table", tables))
        if numbers
    ]
    return "; ".join(parts)


def _ranges(numbers: Iterable[int]) -> str:
    """Successive numbers from three on as a range."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def check_numbers(figures: Iterable[int], tables: Iterable[int]) -> tuple[set[int], set[int]]:
    """Numbers of figures and tables as sets.

    Args:
        figures: in the paper.
        tables: likewise.

    Returns:
        (figures, tables); all of both where neither is given.

    Raises:
        ValueError: a figure or table that the paper does not have.

    Example:
        >>> check_numbers([8], [])
        ({8}, set())
    """
    wanted = set(figures), set(tables)
    for option, numbers, there in zip(("--figure", "--table"), wanted, (FIGURES, TABLES), strict=True):
        for number in sorted(numbers - set(there)):
            raise ValueError(f"{option} {number}: the paper has {there[0]} to {there[-1]}")
    return wanted if wanted[0] or wanted[1] else (set(FIGURES), set(TABLES))
