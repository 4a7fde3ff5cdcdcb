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
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.embed.picture_encoder import FEATURES
from neural.results.figures import arm_style, error_bars, save_figure
from neural.results.files import write_csv
from neural.results.text import text_table
from neural.sequences.glyphs import TOKENS, GlyphSequenceSettings, name_tokens, patches
from neural.worlds.glyphs import DEFAULT
from studies.lab.finding import Finding, records
from studies.lab.options import command_parser, parsed, run_study
from studies.lab.outputs import write_summary
from studies.lab.page import SMALL, Page, Specimen, picture, print_style, sentence, wrapped
from studies.lab.sequences import PRESETS

NAME = "schematics"
ACCURACIES = "image_text_fewshot_glyphs.json"  # in the folder of results
SHOWN_ARMS = {
    "uml_init": "UML, text start",
    "uml": "UML, random start",
    "init_permuted": "text start, wrong classes",
}
_LOOK_ALIKES = {"é": 1, "ê": 4, "ĕ": 6, "ė": 7}  # with the sign of each, which is no arm's

# ---------------------------------------------------------------- Figure 1


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


def _draw_what_text_adds(gains: pd.DataFrame | None) -> Page:
    """Figure 1: few pictures of look-alikes, sentences about the same classes, one model; no numbers where none are."""
    page = Page("1", 2.75)
    page.heading(0.1, 2.7, "Few pictures, hard to tell apart")
    for column, (character, sign) in enumerate(_LOOK_ALIKES.items()):
        x = 0.1 + 0.56 * column
        page.mark(x + 0.17, 2.42, sign)
        page.write(x + 0.26, 2.42, character, va="center", size=8)
        for shot in range(2):
            page.show(picture(character, shot), "pictures", x, 1.8 - 0.55 * shot, 0.5)
    page.heading(0.1, 1.12, "Sentences name what differs")
    for row, (character, which) in enumerate((("ĕ", 2), ("é", 5), ("ė", 2), ("ê", 2))):
        y = 0.73 - 0.225 * row
        page.mark(0.16, y + 0.095, _LOOK_ALIKES[character])
        page.card(sentence(character, which), "sentences", 0.28, y, 2.0, 0.19)
    page.arrow((2.36, 1.78), (2.72, 1.5), "picture")
    page.arrow((2.36, 0.5), (2.72, 1.0), "text")
    page.box(2.72, 0.8, 0.72, 0.95, "one model,\nshared\nweights")
    page.write(3.08, 0.66, "no picture is\npaired with\na sentence", ha="center")
    page.arrow((3.44, 1.27), (3.7, 1.27), "picture")
    if gains is not None:
        _plot_gains(page, gains)
        return page
    page.box(3.7, 0.8, 1.0, 0.95, "classifier\nof pictures", "picture")
    for row, (character, sign) in enumerate(_LOOK_ALIKES.items()):
        page.mark(4.84, 1.63 - 0.24 * row, sign)
        page.write(4.95, 1.63 - 0.24 * row, character, va="center", size=8)
    return page


def _plot_gains(page: Page, gains: pd.DataFrame) -> None:
    """Points over pictures alone, against labelled pictures per class."""
    page.heading(3.72, 2.7, "Accuracy on new pictures")
    ax = page.plot(4.1, 0.62, 1.32, 1.44)
    thin: dict[str, Any] = {"markersize": 3.5, "linewidth": 0.9, "elinewidth": 0.8, "capsize": 1.5}
    for i, (arm, label) in enumerate(SHOWN_ARMS.items()):
        part = gains[gains.arm == arm]
        bars = error_bars(part.estimate, part.low, part.high)
        aside = part.shots * 2 ** (0.16 * (i - 1))
        ax.errorbar(aside, part.estimate, bars, label=label, **arm_style(arm), **thin)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set_xscale("log", base=2)
    ax.set_xticks(shots := sorted(gains.shots.unique()), [str(k) for k in shots])
    ax.minorticks_off()
    ax.set_xlabel("labelled pictures per class", size=SMALL, labelpad=2)
    ax.set_ylabel("points over pictures alone", size=SMALL, labelpad=1)
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.3, 1.0), "borderpad": 0.1}
    ax.legend(fontsize=SMALL, handlelength=2.4, labelspacing=0.2, **place)
    page.write(5.42, 0.14, f"95% intervals, {gains.n.min()} paired repetitions", ha="right", va="center")


# ---------------------------------------------------------------- Figure 2


def _draw_what_is_paired() -> Page:
    """Figure 2: paired; unpaired with labels; unpaired without."""
    page = Page("2", 2.75)
    lefts, width = (0.08, 1.89, 3.7), 1.72
    titles = ("(a) Paired", "(b) Unpaired, labels", "(c) Unpaired, no labels")
    formulas = (r"$(x_i, y_i)$", r"$(x_i, c_i),\ (y_j, \hat{c}_j)$", r"$\{x_i\},\ \{y_j\}$")
    for left, title, formula in zip(lefts, titles, formulas, strict=True):
        page.frame(left, 0.05, width, 2.65)
        page.heading(left + 0.08, 2.62, title)
        page.write(left + width / 2, 2.46, formula, ha="center")

    left = lefts[0]
    for row, (character, shot, which) in enumerate((("Ж", 1, 0), ("½", 4, 1), ("Ø", 2, 5))):
        y = 1.66 - 0.6 * row
        page.show(picture(character, shot), "a", left + 0.08, y, 0.48)
        page.card(sentence(character, which), "a", left + 0.77, y, 0.9, 0.48)
        page.arrow((left + 0.58, y + 0.24), (left + 0.75, y + 0.24), style="<|-|>")
    page.centred(left + width / 2, 0.22, "each picture with its sentence")

    left, classes = lefts[1], "Жθß"
    for row, (character, shot) in enumerate((("Ж", 2), ("θ", 1), ("θ", 2), ("ß", 1))):
        y = 1.79 - 0.455 * row
        page.show(picture(character, shot), "b", left + 0.08, y, 0.4)
        page.mark(left + 0.57, y + 0.2, classes.index(character))
    for row, (character, which) in enumerate((("ß", 4), ("Ж", 1), ("θ", 1))):
        y = 1.7 - 0.6 * row
        page.mark(left + 0.77, y + 0.2, classes.index(character))
        page.card(sentence(character, which), "b", left + 0.86, y, 0.8, 0.4)
    for number, (x, name) in enumerate(((0.2, "zhe"), (0.62, "theta"), (1.12, "sharp s"))):
        page.mark(left + x, 0.22, number)
        page.write(left + x + 0.08, 0.22, name, va="center")

    left = lefts[2]
    for start, side in ((0.06, 0.56), (0.68, 0.98)):
        page.frame(left + start, 0.36, side, 1.89, facecolor="none", edgecolor="0.4", linestyle=":", zorder=1)
    for row, (character, shot) in enumerate((("λ", 1), ("Ø", 6), ("ɥ", 4), ("∂", 1))):
        page.show(picture(character, shot), "c", left + 0.14, 1.79 - 0.455 * row, 0.4)
    for row, (character, which) in enumerate((("§", 1), ("λ", 2), ("Ř", 1))):
        page.card(sentence(character, which), "c", left + 0.73, 1.72 - 0.61 * row, 0.88, 0.4)
    page.centred(left + width / 2, 0.22, "two separate collections")
    return page


# ---------------------------------------------------------------- Figure 4


def _draw_tokens_and_networks() -> Page:
    """Figure 4: tokens on the left; on the right the shared network, self-supervised and supervised."""
    page, settings = Page("4", 3.4), GlyphSequenceSettings()
    drawn, name = picture("Ж", 1, settings.jitter), unicodedata.name("λ").lower()
    cut = (255 * patches(drawn.ink[None], settings.patch)[0]).round().astype(np.uint8)
    cut = cut.reshape(-1, settings.patch, settings.patch)
    tokens = [TOKENS[i].replace("\n", "↵").replace(" ", "␣") for i in name_tokens([name]).values[0]]
    page.frame(0.06, 0.06, 1.72, 3.28)
    page.heading(0.14, 3.28, "Tokens")
    page.show(drawn, "tokens", 0.14, 2.37, 0.66)
    page.arrow((0.84, 2.7), (0.98, 2.7), "picture")
    per_row = round(len(cut) ** 0.5)
    for i, patch in enumerate(cut):
        page.pixels(patch, 1.02 + 0.172 * (i % per_row), 2.876 - 0.172 * (i // per_row), 0.154)
    page.write(0.14, 2.31, f"picture: {len(cut)} patches of\n{settings.patch} × {settings.patch} pixels")
    source = "neural.sequences.glyphs.name_tokens"
    page.card(Specimen("name", "λ", source, text=name), "tokens", 0.14, 1.63, 1.56, 0.19)
    page.arrow((0.92, 1.62), (0.92, 1.47), "text")
    half = (len(tokens) + 1) // 2
    page.letters(tokens[:half], 0.14, 1.32, 1.56 / half)
    page.letters(tokens[half:], 0.14, 1.16, 1.56 / half)
    page.write(0.14, 1.08, f"name: {len(name)} letters between\na start and an end")
    instead = "or, in their place, embeddings of patches and tokens by pretrained encoders"
    page.write(0.14, 0.66, wrapped(instead, 1.5))
    _draw_self_supervised(page, cut, tokens)
    _draw_supervised(page)
    return page


def _draw_self_supervised(page: Page, cut: NDArray[np.uint8], tokens: Sequence[str]) -> None:
    """Two lanes through one transformer; tokens go in, those one step on come out."""
    shape, top, low = PRESETS["default"].model, 2.64, 2.2
    page.frame(1.86, 1.72, 3.58, 1.62)
    page.heading(1.94, 3.28, "(a) Self-supervised: predict the next token")
    row = round(len(cut) ** 0.5)  # the patches of the second row, where the ink is
    for i in range(3):
        page.pixels(cut[row + i], 1.96 + 0.19 * i, top - 0.085, 0.17)
        page.pixels(cut[row + i + 1], 4.82 + 0.19 * i, top - 0.085, 0.17)
    word = len(tokens) - 1 - tokens[::-1].index("␣")
    page.letters(tokens[word + 1 : word + 5], 1.98, low - 0.065, 0.13)
    page.letters(tokens[word + 2 : word + 6], 4.84, low - 0.065, 0.13)
    for y, kind, index in ((top, "picture", "X"), (low, "text", "Y")):
        page.box(2.7, y - 0.14, 0.34, 0.28, f"$f_{index}$", kind)
        page.box(4.3, y - 0.14, 0.34, 0.28, f"$g_{index}$", kind)
        for start, end in ((2.54, 2.7), (3.04, 3.24), (4.1, 4.3), (4.64, 4.8)):
            page.arrow((start, y), (end, y), kind)
    page.box(3.24, low - 0.2, 0.86, top - low + 0.4)
    page.centred(3.67, top + 0.02, "$h$")
    page.centred(3.67, top - 0.33, f"shared\ntransformer,\n{shape.layers} layers,\n{shape.heads} heads")
    notes = {2.24: "tokens", 2.87: "linear\nencoders", 4.47: "linear\ndecoders", 5.09: "next\ntokens"}
    for x, note in notes.items():
        page.write(x, 2.83, note, ha="center", va="bottom")
    page.centred(3.67, 1.86, r"$\ell(g_X(r_X), x) + \ell(g_Y(r_Y), y)$")


def _draw_supervised(page: Page) -> None:
    """Two lanes into one head: an embedding of a picture, and one of a sentence, each with its own label."""
    top, low = 1.1, 0.55
    page.frame(1.86, 0.06, 3.58, 1.58)
    page.heading(1.94, 1.58, "(b) Supervised: one classifier for both")
    page.show(picture("ß", 1), "b", 2.05, top - 0.2, 0.4)
    page.card(sentence("Ø", 2), "b", 1.94, low - 0.16, 0.62, 0.32)
    page.box(2.72, top - 0.16, 0.5, 0.32, "frozen\nencoder", "picture")
    page.box(2.72, low - 0.16, 0.5, 0.32, "frozen\nencoder", "text")
    page.box(3.56, top - 0.12, 0.38, 0.24, "linear", "picture")
    page.box(4.26, low - 0.22, 0.64, top - low + 0.44)
    page.centred(4.58, top + 0.04, "$h$")
    page.centred(4.58, top - 0.34, f"shared\nhead,\n{DEFAULT.n_classes}\nclasses")
    for start, end in ((2.45, 2.72), (3.22, 3.56), (3.94, 4.26), (4.9, 5.1)):
        page.arrow((start, top), (end, top), "picture")
    for start, end in ((2.56, 2.72), (3.22, 4.26), (4.9, 5.1)):
        page.arrow((start, low), (end, low), "text")
    sizes = {(3.37, top): FEATURES, (4.08, top): DEFAULT.text_features}
    for (x, y), size in (sizes | {(3.74, low): f"{DEFAULT.text_features} features"}).items():
        page.write(x, y + 0.03, str(size), ha="center", va="bottom")
    page.centred(5.26, top, "label\n“ß”")
    page.centred(5.26, low, "label\n“Ø”")
    page.centred(3.67, 0.19, r"$\ell_{CE}(c(r_X), c_X) + \ell_{CE}(c(r_Y), c_Y)$")


# ---------------------------------------------------------------- the command


def _findings() -> dict[tuple[str, int], Finding]:
    """A schematic claims nothing that could be tested."""
    drawn = Finding("drawn by code from the project's own data", "schematic", "no claim", "no claim to test")
    return {("Figure", number): drawn for number in (1, 2, 4)}


def draw_pages(gains: pd.DataFrame | None) -> list[Page]:
    """The three figures, with what `read_gains` found; to be called under `print_style`."""
    return [_draw_what_text_adds(gains), _draw_what_is_paired(), _draw_tokens_and_networks()]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Draw, write, and say what is shown; returns the summary that is also written as JSON."""
    options = parsed(command_parser(__doc__), arguments)
    gains = read_gains(options.out / ACCURACIES)
    with print_style():
        pages = draw_pages(gains)
        for page in pages:
            save_figure(page.figure, options.out / f"schematic_figure_{page.name}.png")
    rows = [row for page in pages for row in page.rows]
    write_csv(options.out / f"{NAME}.csv", rows)
    counts = Counter((row["figure"], row["what"]) for row in rows)
    accuracies = None if gains is None else {
        "source": ACCURACIES,
        "what": "points over the matched control, paired, with 95% t intervals",
        "rows": gains.to_dict("records"),
    }  # fmt: skip
    summary = {
        "drawn": [{"figure": figure, "what": what, "count": n} for (figure, what), n in counts.items()],
        "classes": sorted({row["class"] for row in rows}),
        "accuracies": accuracies,
        "findings": records(_findings()),
    }
    print(text_table(["figure", "what", "drawn"], [(*key, n) for key, n in counts.items()]))
    print(
        f"accuracies in Figure 1: {'none, the few-shot study has not run' if gains is None else ACCURACIES}"
    )
    figures = f"figures {options.out / 'schematic_figure_'}1.png, 2.png, 4.png"
    return write_summary(summary, options, NAME, {"quick": options.quick}, figures=figures)


if __name__ == "__main__":
    run_study(main)
