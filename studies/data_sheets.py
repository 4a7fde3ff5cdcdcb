"""What the studies learn from: the project's own stand-ins beside the paper's Tables 3, 4 and 5.

    python studies/data_sheets.py                  # seconds; nothing is trained
    python studies/data_sheets.py --quick          # the same, into paper_figures/quick/
    python studies/data_sheets.py --data ROOT      # and what of the paper's data sets lies below ROOT

Table 3: classes and rows of the tasks glyphs, concepts and digits; of the paper's data sets the printed sizes and, with
--data, the numbers found (of a split file, its entries, whether or not the images are there). Table 4: all sentences
about some characters, with their first pictures. Table 5: the grids of `neural/fewshot/presets.py`.

Writes data_sheets.png (Tables 3 and 4), data_sheets.csv (one row per entry: table, row, column, ours, published),
data_sheets.md (all three) and data_sheets.json.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit.files import write_atomic
from neural.datasets.doctor import Checkup, examine
from neural.fewshot.presets import PRESETS, Preset
from neural.heads.runs import WARMUP_START
from neural.results.figures import save_figure
from neural.results.table import write_table
from neural.results.text import markdown_table
from neural.tasks.task import Task
from neural.worlds.concepts import concepts
from neural.worlds.digits import digits
from neural.worlds.glyph_names import fine_texts
from neural.worlds.glyphs import POOLS, GlyphSettings
from studies.lab.finding import Finding, records
from studies.lab.options import command_parser, parsed, run_study
from studies.lab.outputs import write_summary
from studies.lab.page import Page, class_name, picture, print_style
from studies.published.numbers import published

NAME = "data_sheets"
CHARACTERS = "êЖ½ß"
SIZES = ("classes", "train", "val", "test")
MORE_SIZES = ("shifted tests", "auxiliary")  # of the project's tasks
Row = dict[str, Any]


# ---------------------------------------------------------------- Table 3: sizes


def glyph_sizes(settings: GlyphSettings) -> dict[str, int | str]:
    """Sizes of the task "glyphs" from its settings alone: no picture is drawn, no encoder trained."""
    rows = {pool: settings.n_classes * settings.per_class(pool) for pool in POOLS}
    return {
        "classes": settings.n_classes,
        **{pool: rows[pool] for pool in ("train", "val", "test")},
        "shifted tests": sum(n for pool, n in rows.items() if pool not in SIZES),
        "auxiliary": f"{settings.n_classes * len(fine_texts(CHARACTERS[0])):,} text",
    }


def task_sizes(task: Task) -> dict[str, int | str]:
    """Sizes of a task that is there."""
    first, *shifted = task.tests.values()
    return {
        "classes": len(task.classes),
        "train": len(task.train),
        "val": len(task.val),
        "test": len(first),
        "shifted tests": sum(map(len, shifted)),
        "auxiliary": ", ".join(f"{len(rows):,} {name}" for name, rows in task.auxiliaries.items()),
    }


def find_data_sets(root: Path | None) -> dict[str, Checkup]:
    """What of the paper's Table 3 is on disk, and spoken digits; {} where no root is given."""
    if root is None:
        return {}
    if not root.is_dir():
        raise ValueError(f"--data {root}: no such folder; give the one that holds the data sets' folders")
    keys = [*published(3).dataset, "spoken_digits"]
    return {checkup.key: checkup for checkup in examine(root, only=keys).checkups}


def size_rows(found: Mapping[str, Checkup]) -> list[Row]:
    """Table 3, one row per entry; of the paper's data sets, "ours" is what is on disk."""
    own = {
        "glyphs": glyph_sizes(GlyphSettings()),
        "concepts": task_sizes(concepts(seed=0)),
        "digits": task_sizes(digits(seed=0)),
    }
    if found and (clips := found["spoken_digits"].sizes.get("clips")):
        own["digits"]["auxiliary"] = f"{own['digits']['auxiliary']}, {clips:,} speech"
    rows = [_row(3, task, column, size) for task, sizes in own.items() for column, size in sizes.items()]
    for printed in published(3).astype(object).fillna("").to_dict("records"):
        checkup = found.get(printed["dataset"])
        # rounded, or not a number
        as_printed = dict(re.findall(r"(\w+) printed as ([^;]+)", printed["note"]))
        entries = []
        for column in SIZES:
            ours = checkup.sizes.get(column) if checkup else None
            differs = ours is not None and column not in as_printed and ours != printed[column]
            value = as_printed.get(column, printed[column])
            entries.append(_row(3, printed["label"], column, ours, value, differs))
        rows += entries
        if checkup:
            agrees = checkup.sizes and not any(entry["differs"] for entry in entries)
            state = f"{checkup.state}, counts as printed" if agrees else checkup.state
            rows.append(_row(3, printed["label"], "on disk", state))
    return rows


# ---------------------------------------------------------------- Tables 4 and 5: sentences, grids


def sentence_rows() -> list[Row]:
    """Table 4, one row per sentence: all about `CHARACTERS`, and those about pets that the paper prints."""
    rows = [
        _row(4, class_name(character), f"sentence {i}", text)
        for character in CHARACTERS
        for i, text in enumerate(fine_texts(character), 1)
    ]
    for name, part in published(4).groupby("class", sort=False):
        rows += [_row(4, name, f"sentence {i}", None, text) for i, text in enumerate(part.example, 1)]
    return rows


def grid_of(preset: Preset) -> dict[str, str]:
    """A preset in the words of Table 5, and then what that table does not say."""
    grid, schedule = preset.grid, preset.schedule
    return {
        "Optimizer": "adamw",
        "Learning rate": _set(grid.learning_rates),
        "Weight decay": _set(grid.weight_decays),
        "LR scheduler": "cosine",
        "Batch size": _set(grid.batch_sizes),
        "Max iterations": f"{schedule.iterations:,}",
        "Warmup iterations": f"{schedule.warmup}",
        "Warmup type": "linear",
        "Warmup min LR": f"{WARMUP_START:g}",
        "Dropout": "{0}",
        "Modality-specific learnable scaling": _set(grid.learn_scales),
        "Early-stop patience": f"{schedule.patience}",
        "Steps between validations": f"{schedule.eval_every}",
        "Weight of the auxiliary loss": _set(grid.loss_weights),
        "Trainings per arm": f"{preset.trainings}",
        "Paired repetitions": f"{preset.seeds}",
    }


def grid_rows() -> list[Row]:
    """Table 5, one row per hyperparameter and preset; only the preset "paper" is meant to agree."""
    printed = dict(published(5).itertuples(index=False, name=None))
    rows = []
    for preset, sizes in PRESETS.items():
        for name, ours in grid_of(sizes).items():
            value = printed.get(name)
            differs = preset == "paper" and value is not None and _members(ours) != _members(value)
            rows.append(_row(5, name, preset, ours, value, differs))
    return rows


def _set(values: Sequence[float]) -> str:
    return "{" + ", ".join(str(v) if isinstance(v, bool) else f"{v:g}" for v in values) + "}"


def _members(text: str) -> set[float | str]:
    """What a printed set holds, however its numbers are written."""
    words = re.findall(r"[\w.-]+", re.sub(r"(?<=\d),(?=\d{3})", "", text))
    return {float(word) if word[0].isdigit() else word for word in words}


def _row(table: int, row: str, column: str, ours: object, value: object = None, differs: bool = False) -> Row:
    place = {"table": table, "row": row, "column": column}
    return place | {"ours": ours, "published": value, "differs": differs}


# ---------------------------------------------------------------- outputs


def draw(sizes: pd.DataFrame) -> Page:
    """Sizes as a table, then characters with all their sentences; to be called under `print_style`."""
    page = Page(NAME, 7.16)
    y = _draw_sizes(page, sizes)
    page.heading(0.1, y, "Sentences about a class (the kind of Table 4), with its first pictures")
    for k, character in enumerate(CHARACTERS):
        top = y - 0.24 - 1.06 * k
        page.frame(0.06, top - 1.0, 5.38, 1.0)
        for i in range(4):
            x, below = 0.12 + 0.46 * (i % 2), top - 0.485 - 0.46 * (i // 2)
            page.show(picture(character, i), "sentences", x, below, 0.43)
        for line, text in enumerate(fine_texts(character)):
            page.write(1.12, top - 0.13 - 0.118 * line, text, va="baseline")
    return page


def _draw_sizes(page: Page, sizes: pd.DataFrame) -> float:
    """The table of sizes; returns where it ends."""
    own = list(dict.fromkeys(sizes.row[sizes.column.isin(MORE_SIZES)]))
    rights = dict(zip((*SIZES, *MORE_SIZES, "on disk"), (1.95, 2.5, 2.95, 3.4, 4.2, 5.38, 5.38), strict=True))
    y = page.height - 0.05
    page.heading(0.1, y, "Rows of the project's tasks, and of the paper's data sets (Table 3)")
    for title, printed in (("the project's tasks", False), ("printed in the paper", True)):
        part = sizes[sizes.row.isin(own) != printed]
        y -= 0.34 if not printed else 0.26
        page.write(0.1, y, title, va="baseline", style="italic")
        for column in part.column.unique():
            page.write(rights[column], y, column, ha="right", va="baseline", style="italic")
        page.ax.plot([0.1, 5.4], [y - 0.05] * 2, color="black", linewidth=0.6)
        for name, cells in part.groupby("row", sort=False):
            y -= 0.135 if name != part.row.iloc[0] else 0.175
            page.write(0.1, y, name, va="baseline")
            for cell in cells.itertuples():
                value = cell.published if printed and cell.column in SIZES else cell.ours
                text = f"{value:,}" if isinstance(value, int) else value or "–"
                page.write(rights[cell.column], y, text, ha="right", va="baseline")
    return y - 0.2


def as_markdown(rows: pd.DataFrame) -> str:
    """The three tables: sizes, sentences, grids."""
    sizes, sentences, grids = (rows[rows.table == table] for table in (3, 4, 5))
    columns = list(dict.fromkeys(sizes.column))
    size_lines = [
        [name, *(cells.get(column, "") for column in columns)]
        for name, part in sizes.groupby("row", sort=False)
        for cells in [{cell.column: _size(cell) for cell in part.itertuples()}]
    ]
    sentence_lines = [
        (row.row, row.ours or row.published, "ours" if row.ours else "paper")
        for row in sentences.itertuples()
    ]
    grid_lines = [
        (name, part.published.iloc[0] or "", *part.ours) for name, part in grids.groupby("row", sort=False)
    ]
    return f"""## Table 3: sizes

Rows of the project's tasks; of the paper's data sets as printed, and the number found where another one is on disk.

{markdown_table(["data", *columns], size_lines)}

## Table 4: sentences about a class

{markdown_table(["class", "sentence", "of"], sentence_lines)}

## Table 5: hyperparameters

Presets of `neural/fewshot/presets.py`; "paper" is meant to agree with the printed grid.

{markdown_table(["hyperparameter", "printed", *dict.fromkeys(grids.column)], grid_lines)}
"""


def _size(cell: Any) -> str:  # noqa: ANN401
    """An entry of Table 3."""
    ours, value = (f"{v:,}" if isinstance(v, int) else v or "" for v in (cell.ours, cell.published))
    return f"{ours} ({value} printed)" if cell.differs else value or ours


def _findings() -> dict[tuple[str, int], Finding]:
    """Data are shown beside those that the paper prints: nothing is claimed."""
    where = {3: "the picture and the .csv", 4: "the picture and the .csv", 5: "the .md and .csv"}
    told = "beside ours there", "no claim", "no claim to test"
    return {("Table", number): Finding(f"counted, see {place}", *told) for number, place in where.items()}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Collect, draw, write, and say what differs from the printed numbers; returns the summary that is also written as JSON."""
    parser = command_parser(__doc__)
    parser.add_argument("--data", type=Path, metavar="ROOT", help="folder of the paper's data sets")
    options = parsed(parser, arguments)
    found = find_data_sets(options.data)
    table = pd.DataFrame([*size_rows(found), *sentence_rows(), *grid_rows()], dtype=object)
    with print_style():
        save_figure(draw(table[table.table == 3]).figure, options.out / f"{NAME}.png")
    write_table(options.out / f"{NAME}.csv", table.drop(columns="differs"))
    text = as_markdown(table)
    write_atomic(options.out / f"{NAME}.md", text.encode())
    differences = [
        f"Table {entry.table}, {entry.row}, {entry.column}: {entry.ours} (printed {entry.published})"
        for entry in table[table.differs.astype(bool)].itertuples()
    ]
    config = {"quick": options.quick, "data": None if options.data is None else str(options.data)}
    summary = {
        "entries": {f"Table {number}": int((table.table == number).sum()) for number in (3, 4, 5)},
        "on_disk": {key: checkup.state for key, checkup in found.items()},
        "differences": differences,
        "findings": records(_findings()),
    }
    print(text)
    looked = f"found below {options.data}" if found else "no --data given"
    print(f"counts that differ from the printed ones ({looked}): {'; '.join(differences) or 'none'}")
    return write_summary(summary, options, NAME, config)


if __name__ == "__main__":
    run_study(main)
