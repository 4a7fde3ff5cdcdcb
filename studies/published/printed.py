"""The paper's own numbers, in the words of the gallery: gains as means over its data sets, exchange rates as printed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from neural.datasets import SPECS
from neural.heads.arms import ARMS
from studies.published.numbers import published

__all__ = ["gains_printed", "three_modalities_printed", "words_printed"]


def gains_printed(kind: str, number: int, summary: Mapping[str, Any], *, few_shot: bool = True) -> str:
    """What a table prints: gains over its unimodal rows, the mean over data sets; one data set's where ours is that one.

    Args:
        kind: "Figure" or "Table"; figures of accuracies print no numbers.
        number: in the paper.
        summary: of the study that stands for it, whose data set decides.
        few_shot: which half of Table 2.

    Returns:
        Text.

    Example:
        >>> gains_printed("Table", 24, {"task": "glyphs"})
        'SUN397, minus unimodal at 1, 2, 4, 8, 16 shots: UML, unrelated text +1.1, -0.8, -0.0, -0.5, -0.1; UML (init), related text +7.6, +5.3, +3.4, +2.8, +1.8'
    """
    if kind != "Table":
        return "no number printed"
    rows = published(number)
    rows = rows[rows["metric"].eq("accuracy") & rows["dataset"].ne("average")]
    if "ratio" in rows:
        return _over_ratios(rows)
    if number == 2:
        rows = rows[rows["shots"].notna() == few_shot]
    own = rows[rows["dataset"].eq(str(summary.get("task")))]
    rows = own if len(own) else rows
    names = list(dict.fromkeys(rows["dataset"]))
    where = _title(names[0]) if len(names) == 1 else f"mean of {len(names)} data sets"
    wide = rows.assign(shots=rows["shots"].astype("Float64").fillna(0)).pivot_table(
        index="method", columns="shots", values="value", sort=False
    )
    gains = [
        f"{_label(method)} {', '.join(f'{gain:+.1f}' for gain in wide.loc[method] - wide.loc['unimodal'])}"
        for method in wide.index
        if method != "unimodal"
    ]
    shots = [f"{k:g}" for k in wide.columns]
    at = "" if shots == ["0"] else f" at {', '.join(shots)} shots"
    return f"{where}, minus unimodal{at}: {'; '.join(gains)}"


#: Methods of single tables; the "related" rows of Table 24 are those of UML (init) in Table 17.
_METHODS = {
    "uml_unrelated_text": "UML, unrelated text",
    "uml_related_text": "UML (init), related text",
    "uml_unfrozen_text": "UML, text encoder unfrozen",
}


def _label(method: str) -> str:
    """A method as our tables call it."""
    return ARMS[method].label if method in ARMS else _METHODS.get(method, method)


def _title(dataset: str) -> str:
    """A data set as the paper prints it."""
    return SPECS[dataset].title if dataset in SPECS else dataset


def _over_ratios(rows: pd.DataFrame) -> str:
    """Accuracies at each batch ratio, the mean over numbers of shots where there are several."""
    shots = ""
    if rows["shots"].notna().all():  # UML has no rows at 1 shot
        common = set.intersection(*(set(part["shots"]) for _, part in rows.groupby("method")))
        rows = rows[rows["shots"].isin(common)]
        shots = f", mean over {', '.join(map(str, sorted(common)))} shots"
    wide = rows.pivot_table(index="method", columns="ratio", values="value")
    ratios = ", ".join(f"{r:g}" for r in wide.columns)
    parts = [f"{_label(m)} {', '.join(f'{value:.1f}' for value in wide.loc[m])}" for m in wide.index]
    return f"{_title(rows['dataset'].iloc[0])}, accuracy{shots}, at r = {ratios}: {'; '.join(parts)}"


def words_printed(number: int) -> str:
    """Words per image that the caption of a figure states.

    Args:
        number: of the figure.

    Returns:
        Text.

    Example:
        >>> words_printed(9)
        '1 image = 1,034 words'
    """
    return f"1 image = {published('figures', figure=number)['value'].item():,.0f} words"


def three_modalities_printed(kind: str, number: int) -> str:
    """Gains over the target alone in Tables 25 and 26, the mean over ImageNet-ESC-19 and 27.

    Args:
        kind: "Figure" or "Table"; the figures show the same by bars.
        number: in the paper.

    Returns:
        Text.

    Example:
        >>> three_modalities_printed("Figure", 34)
        'bars, no number printed'
    """
    if kind != "Table":
        return "bars, no number printed"
    rows = published(number, metric="accuracy")
    wide = rows.pivot_table(index="method", columns="shots", values="value", sort=False)
    alone = wide.index[0]
    gains = [
        f"{method} {', '.join(f'{gain:+.1f}' for gain in wide.loc[method] - wide.loc[alone])}"
        for method in wide.index[1:]
    ]
    shots = ", ".join(f"{k:g}" for k in wide.columns)
    return f"ImageNet-ESC-19 and 27, mean, minus {alone} alone at {shots} shots: {'; '.join(gains)}"
