"""The paper's schematics, Figures 1, 2 and 4, drawn from the project's own data.

    python studies/schematics.py            # three figures in seconds, nothing is trained
    python studies/schematics.py --quick    # the same, into paper_figures/quick/

Figure 1: sentences about classes help to learn them from few pictures, although no picture is paired with a sentence.
Figure 2: paired data, unpaired data with labels, unpaired data without. Figure 4: pictures and names become tokens; one
network for both is trained to predict the next token, or to predict labels.

Every picture is of the training pool of the task "glyphs" (in Figure 4a, of the self-supervised study), every sentence
one of the eight about its character. Figure 1 shows accuracies only where the few-shot study has written them
(image_text_fewshot_glyphs.json in the same folder): paired differences with 95% intervals.

Writes schematic_figure_1.png, _2.png and _4.png, schematics.csv (one row per picture or text) and schematics.json.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from studies import harness
from studies.schematics_drawing import (
    SHOWN_ARMS,
    draw_tokens_and_networks,
    draw_what_is_paired,
    draw_what_text_adds,
)
from studies.schematics_page import Page, print_style

NAME = "schematics"
ACCURACIES = "image_text_fewshot_glyphs.json"  # in the folder of results


def read_gains(path: Path) -> pd.DataFrame | None:
    """What sentences add to the accuracy of pictures, from the summary of the few-shot study.

    Args:
        path: JSON file that `studies/image_text_fewshot.py` writes.

    Returns:
        One row per shots and arm of `SHOWN_ARMS`: points over the matched control (estimate, low, high, n) on the test
        set of the training law; None where there is no such file.

    Raises:
        ValueError: the file is something else.
    """
    if not path.exists():
        return None
    try:
        rows = [
            {"shots": int(row["shots"]), "arm": row["arm"], **row["minus_control"]}
            for row in json.loads(path.read_text())["accuracy"]
            if row["test"] == "test" and row["arm"] in SHOWN_ARMS and row["shots"] != "all"
        ]
        missing = SHOWN_ARMS.keys() - {row["arm"] for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        missing = {repr(error)}
    if missing:
        raise ValueError(
            f"{path}: not a summary of the few-shot study (lacks {', '.join(sorted(missing))}); "
            "run studies/image_text_fewshot.py again, or move the file away"
        )
    return pd.DataFrame(rows)


def draw_pages(gains: pd.DataFrame | None) -> list[Page]:
    """The three figures; to be called under `print_style`.

    Args:
        gains: from `read_gains`.

    Returns:
        Their pages.
    """
    return [draw_what_text_adds(gains), draw_what_is_paired(), draw_tokens_and_networks()]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Draw, write, and say what is shown.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    options = harness.parser(__doc__).parse_args(arguments)
    gains = read_gains(options.out / ACCURACIES)
    with print_style():
        pages = draw_pages(gains)
        for page in pages:
            harness.save_figure(page.figure, options.out / f"schematic_figure_{page.name}.png")
    rows = [row for page in pages for row in page.rows]
    harness.write_csv(options.out / f"{NAME}.csv", rows)
    counts = Counter((row["figure"], row["what"]) for row in rows)
    seconds = time.perf_counter() - began
    summary = {
        "drawn": [{"figure": figure, "what": what, "count": n} for (figure, what), n in counts.items()],
        "classes": sorted({row["class"] for row in rows}),
        "accuracies": None if gains is None else {
            "source": ACCURACIES, "what": "points over the matched control, paired, with 95% t intervals",
            "rows": gains.to_dict("records"),
        },
        "provenance": harness.provenance(config={"quick": options.quick}, seconds=seconds),
    }  # fmt: skip
    harness.write_json(options.out / f"{NAME}.json", summary)
    print(harness.table(["figure", "what", "drawn"], [(*key, n) for key, n in counts.items()]))
    print(
        f"accuracies in Figure 1: {'none, the few-shot study has not run' if gains is None else ACCURACIES}"
    )
    print(f"wall time {seconds:.1f} s")
    print(f"figures {options.out / 'schematic_figure_'}1.png, 2.png, 4.png")
    return summary


if __name__ == "__main__":
    main()
