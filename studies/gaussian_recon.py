"""Does unpaired y help a shared autoencoder reconstruct x? (Gupta et al. 2025, Figures 3 and 37, appendix E.14).

    python studies/gaussian_recon.py --quick              4 seeds, 2,500 steps, under 90 seconds on 2 cores
    python studies/gaussian_recon.py                      8 seeds, 10,000 steps; prints its wall time
    python studies/gaussian_recon.py --batch 512          the released code's batch size, about three times as long
    python studies/gaussian_recon.py --device cuda --seeds 32

Training data are attenuated (x sees 1 of 10 shared latents in full), validation data are not; every seed draws new
loadings, samples, initial weights and row order, each from a stream of its own, the same for all arms. Arms, at
a sample budget N and b rows per step:

    x          N of x, b rows            the paper's baseline
    x half     N/2 of x, b rows          tells "y helps" from "half of x hurts"
    x 2b       N of x, 2b rows           control for the arm below it
    uml        N/2 of x + N/2 of y, b/2 + b/2 rows    equal samples per step
    uml 2b     N/2 of x + N/2 of y, b + b rows        the released code's protocol: twice the samples per step

The paper prints no number for Figure 37, so there is none to compare with. What to expect: y's samples carry no
Fisher information about x's loadings (computed below), so a gain can only come from optimisation, shared capacity,
or the difference between training and validation data.

Writes gaussian_recon.png, .csv (one row per cell and step mark) and .json; a killed run resumes.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.results.cells import Cells
from neural.results.contrasts import by_key, means, paired
from neural.results.figures import arm_style, draw_means, figure_style, place_style, save_figure
from neural.results.intervals import Interval
from neural.results.table import write_table
from neural.results.text import text_table
from studies.lab.finding import NOT_PRINTED, Evidence, Finding, overall, records
from studies.lab.gaussian_cells import (
    ARMS,
    Plan,
    by_arm,
    compute,
    exchange_rate,
    fisher_numbers,
    linear_code_errors,
    rows_of,
    world,
)
from studies.lab.options import command_line, command_parser, run_study
from studies.lab.outputs import write_summary

__all__ = ["main", "verdict"]

NAME = "gaussian_recon"
_ERROR = "mse_x_full"


# ---------------------------------------------------------------- the table, and what is asked of it


def _ratios(arms: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Errors of one arm over those of another: one row per comparison, step mark and seed."""
    marked, parts = arms[arms["step"].isin(plan.marks)], []
    for label, (arm, control, error, setting) in plan.comparisons().items():
        there = marked[marked["setting"] == setting]
        ratio = paired(there, arm, control, ["step"], value=error, ratio=True)
        parts.append(ratio.rename(columns={error: "ratio"}).assign(comparison=label))
    return pd.concat(parts, ignore_index=True)


def _budgets(arms: pd.DataFrame, step: int) -> pd.DataFrame:
    """Errors after a number of steps by the number of samples in all, x alone ("x") or half of each ("uml")."""
    there = arms[(arms["setting"] == "budgets") & (arms["step"] == step)].drop_duplicates("key")
    samples = there["x_samples"] + there["y_samples"]
    return there.assign(arm=there["arm"].replace("x half", "x"), samples=samples)


def _exchange_rates(arms: pd.DataFrame, plan: Plan) -> list[dict[str, Any]]:
    """How many x samples one y sample replaced, at every budget, early and at the end."""
    rates = []
    for step in (plan.early, plan.steps):
        # (seeds, arms and samples)
        errors = _budgets(arms, step).pivot(index="seed", columns=["arm", "samples"], values=_ERROR)
        x_only = errors["x"].sort_index(axis=1)
        for budget in plan.budgets:
            uml, half = errors["uml", budget].to_numpy(), budget // 2
            rate, why = exchange_rate(half, half, uml, x_only.columns.tolist(), x_only.to_numpy())
            rates.append({"steps": step, "budget": budget, "rate": rate, "why": why})
    return rates


def _summary(arms: pd.DataFrame, ratios: pd.DataFrame, plan: Plan) -> dict[str, Any]:
    """All numbers of the study: what goes into the JSON file, and what text and figure are made of."""
    usual = arms[(arms["setting"] == "usual") & arms["step"].isin(plan.marks)]
    errors = by_key(means(usual, ["arm", "step"], value=_ERROR, log=True), "arm", "step")
    found = by_key(means(ratios, ["comparison", "step"], value="ratio", log=True), "comparison", "step")
    by_label = {label: [found[label, step] for step in plan.marks] for label in plan.comparisons()}
    return {
        "marks": plan.marks,
        "errors": {arm: [errors[arm, step] for step in plan.marks] for arm in ARMS},
        "ratios": by_label,
        "verdicts": {label: verdict(plan.marks, intervals) for label, intervals in by_label.items()},
        "verdict_words": {label: [*map(_word, intervals)] for label, intervals in by_label.items()},
        "exchange_rates": _exchange_rates(arms, plan),
        "fisher": fisher_numbers(world(0, False), plan.budget // 2),
        "floors": linear_code_errors([world(seed, False) for seed in range(plan.seeds)]),
        "published": None,  # the paper prints no number for Figure 37
    }


# ---------------------------------------------------------------- figure


def _draw(
    arms: pd.DataFrame, ratios: pd.DataFrame, summary: Mapping[str, Any], plan: Plan, path: Path
) -> None:
    """Draw and write the figure, beside Figures 3 and 37 of the paper."""
    widths = {f"uml / x, width {width}": f"width {width}" for width in plan.widths if width != plan.width}
    widths = {"uml / x": f"width {plan.width}"} | widths
    widths |= {"uml 2b / x 2b": f"width {plan.width}, b + b rows (to x 2b)"}
    others = {
        "uml / x": "un-attenuated x",
        "uml / x, loadings / sqrt(dim)": "same, loadings / sqrt(dim)",
        "uml / x, training law": "attenuated x (training law)",
        "x half / x": "un-attenuated, x half to x",
    }
    with figure_style():
        figure, axes = plt.subplots(2, 2, figsize=(9.2, 7.0))
        steps = {*plan.eval_steps[::2], plan.steps}  # every other one, to tell the arms apart
        curves = arms[(arms["setting"] == "usual") & arms["step"].isin(steps)]
        _draw_curves(axes[0, 0], curves, summary["floors"])
        _draw_ratios(axes[0, 1], ratios, widths)
        axes[0, 1].set_title("(b) Hidden width and step budget")
        _draw_budgets(axes[1, 0], arms, summary["exchange_rates"], plan)
        _draw_ratios(axes[1, 1], ratios, others)
        axes[1, 1].set_title("(d) Scale of loadings, data of the training law, half of x alone")
        figure.suptitle(
            f"Unpaired y and the reconstruction of x: N = {plan.budget:,}, b = {plan.batch}, {plan.seeds} paired seeds, "
            "95% intervals.\n"
            f"Fisher information of y about x's loadings: {summary['fisher']['trace_y_separate']:.3g}",
            fontsize=9.5,
        )
        save_figure(figure, path)


def _draw_curves(axes: Axes, rows: pd.DataFrame, floors: Mapping[str, float]) -> None:
    labels = {
        "x": "x: N, b rows per step",
        "x half": "x: N/2, b",
        "x 2b": "x: N, 2b",
        "uml": "UML: N/2 + N/2, b/2 + b/2",
        "uml 2b": "UML: N/2 + N/2, b + b",
    }
    _draw_logarithmic(axes, rows, "step", _ERROR, hue="arm", labels=labels)
    floor_names = {"fitted_to_attenuated": "linear code fitted to attenuated x", "best": "best linear code"}
    for key, text in floor_names.items():
        axes.axhline(floors[key], color="0.45", lw=0.8, ls=(0, (4, 3)))
        axes.annotate(text, (rows["step"].min(), floors[key]), va="bottom", fontsize=7, color="0.3")
    axes.set_ylim(0.85 * floors["best"], None)
    axes.set(xlabel="optimiser steps", ylabel="MSE of un-attenuated x (data units²)")
    axes.set_title("(a) Training curves, validation")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 0.34))


def _draw_ratios(axes: Axes, ratios: pd.DataFrame, labels: Mapping[str, str]) -> None:
    styles = {label: place_style(place) for place, label in enumerate(labels)}
    _draw_logarithmic(axes, ratios, "step", "ratio", hue="comparison", labels=labels, styles=styles)
    axes.axhline(1, color="0.3", lw=0.9)
    axes.set(xlabel="optimiser steps", ylabel="ratio of MSE (below 1: UML better)")
    ticks = [mark for mark in (500, 1000, 2000, 5000, 10_000) if mark <= ratios["step"].max()]
    axes.set_xticks(ticks, [f"{mark:,}" for mark in ticks])
    axes.xaxis.set_minor_formatter("")
    _room_below(axes)
    axes.legend(loc="lower right")


def _draw_budgets(axes: Axes, arms: pd.DataFrame, rates: Sequence[Mapping[str, Any]], plan: Plan) -> None:
    parts, labels, styles = [], {}, {}
    for step, dashes in {plan.early: ":", plan.steps: "-"}.items():
        rows = _budgets(arms, step)
        parts.append(rows.assign(curve=rows["arm"] + f" {step}"))
        for arm, text in (("x", "x only: N"), ("uml", "UML: N/2 + N/2")):
            labels[f"{arm} {step}"] = f"{text}, {step:,} steps"
            styles[f"{arm} {step}"] = arm_style(arm) | {"linestyle": dashes}
    rows = pd.concat(parts, ignore_index=True)
    _draw_logarithmic(axes, rows, "samples", _ERROR, hue="curve", labels=labels, styles=styles)
    heights = by_key(means(rows, ["curve", "samples"], value=_ERROR, log=True), "curve", "samples")
    for rate in rates:
        if rate["rate"] is not None:
            place = rate["budget"], heights[f"uml {rate['steps']}", rate["budget"]].estimate
            axes.annotate(f"{rate['rate']:.2f}", place, (7, 2), textcoords="offset points", fontsize=7)
    axes.set(xlabel="samples in all, N", ylabel="MSE of un-attenuated x (data units²)")
    ticks = [rows["samples"].min(), *plan.budgets]
    axes.set_xticks(ticks, [f"{n:,}" for n in ticks], rotation=30)
    axes.xaxis.set_minor_formatter("")
    axes.set_title("(c) Sample budget; numbers: x samples that one y sample replaced")
    _room_below(axes)
    axes.legend(loc="lower left")


def _draw_logarithmic(axes: Axes, rows: pd.DataFrame, x: str, y: str, **options: Any) -> None:  # noqa: ANN401
    """Geometric means with their intervals: on these axes seaborn averages logarithms."""
    draw_means(axes, rows, x, y=y, native_scale=True, log_scale=True, **options)
    for line in axes.lines:
        places = np.asarray(line.get_xydata())
        line.set_data(*places[np.isfinite(places[:, 1])].T)  # joined across places that other curves have
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")


def _room_below(axes: Axes) -> None:
    """For the legend, below the curves."""
    low, high = axes.get_ylim()
    axes.set_ylim(low * (low / high) ** 0.4, None)


# ---------------------------------------------------------------- findings


def _word(ratio: Interval) -> str:
    """Whether an error is smaller than the control's, by the 95% interval of their ratio."""
    if ratio.high < 1:
        return "holds"
    return "reversed" if ratio.low > 1 else "undecided"


def verdict(marks: Sequence[int], ratios: Sequence[Interval]) -> str:
    """Where a ratio of errors is below one, above one, or undecided at pointwise 95%.

    Args:
        marks: steps.
        ratios: one interval per mark.

    Returns:
        One line.

    Example:
        >>> verdict([500, 1000, 2000], [Interval(.9, .8, .95, 8), Interval(1, .9, 1.1, 8), Interval(1.2, 1.1, 1.3, 8)])
        'holds at steps 500; undecided at 1,000; reversed at 2,000'
    """
    parts = []
    for word in ("holds", "undecided", "reversed"):
        steps = [f"{mark:,}" for mark, ratio in zip(marks, ratios, strict=True) if _word(ratio) == word]
        parts += [f"{word} at {', '.join(steps)}"] if steps else []
    return "; ".join(parts).replace(" at ", " at steps ", 1)


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """Figure 3 claims that a sample of y is worth more than one of x, Figure 37 that half and half beat all x."""
    return {("Figure", 3): _worth_of_a_sample(summary), ("Figure", 37): _ratio_of_errors(summary)}


def _worth_of_a_sample(summary: Mapping[str, Any]) -> Finding:
    """Exchange rates at the end of training; they have no intervals."""
    last = summary["marks"][-1]
    rates = {e["budget"]: e["rate"] for e in summary["exchange_rates"] if e["steps"] == last}
    shown, words = [], []
    for budget, rate in rates.items():
        shown.append(f"{'not defined' if rate is None else f'{rate:.2f}'} (N = {budget:,})")
        word = "holds" if rate is not None and rate > 1 else "fails"
        words.append("undecided" if rate is None else word)
    return Finding(
        f"x samples that one y sample replaces, after {last:,} steps: {', '.join(shown)}; no intervals",
        NOT_PRINTED,
        overall(words),
        f"a y sample is worth more than an x sample at {words.count('holds')} of {len(rates)} budgets; not defined where "
        "UML's error is below all that x alone reaches",
    )


def _ratio_of_errors(summary: Mapping[str, Any]) -> Finding:
    """UML against x alone at equal samples per step, at all step marks; the best and the last are shown."""
    marks, ratios = summary["marks"], summary["ratios"]
    shown = []
    for label, name in (("uml / x", "UML / x"), ("uml 2b / x 2b", "both with twice the rows")):
        best = min(range(len(marks)), key=lambda i: ratios[label][i].estimate)
        for i in dict.fromkeys((best, len(marks) - 1)):
            r = ratios[label][i]
            shown.append(f"{name}, {marks[i]:,} steps: {r.estimate:.2f} [{r.low:.2f}, {r.high:.2f}]")
    evidence = tuple(
        Evidence(
            f"error of UML over that of x alone, {mark:,} steps",
            r.estimate,
            r.low,
            r.high,
            word.replace("reversed", "fails"),
            unit="ratio",
        )
        for mark, r, word in zip(marks, ratios["uml / x"], summary["verdict_words"]["uml / x"], strict=True)
    )
    verdicts = overall([entry.verdict for entry in evidence])
    ours = f"ratio of errors: {'; '.join(shown)}"
    return Finding(ours, NOT_PRINTED, verdicts, summary["verdicts"]["uml / x"], evidence)


# ---------------------------------------------------------------- the command


def _as_text(summary: Mapping[str, Any]) -> str:
    """The printed report."""
    marks, errors, ratios = summary["marks"], summary["errors"], summary["ratios"]
    rows = []
    for i, mark in enumerate(marks):
        for arm in errors:
            to_x = ratios.get(f"{arm} / x", ["1" if arm == "x" else ""] * len(marks))[i]
            to_x_2b = ratios["uml 2b / x 2b"][i] if arm == "uml 2b" else ""
            rows.append([arm, f"{mark:,}", errors[arm][i], to_x, to_x_2b])
    rates = [
        [f"{e['steps']:,}", f"{e['budget']:,}", "-" if e["rate"] is None else f"{e['rate']:.2f}", e["why"]]
        for e in summary["exchange_rates"]
    ]
    fisher, (best, fitted) = summary["fisher"], summary["floors"].values()
    information = (
        f"Fisher information about x's {fisher['loadings']} loadings (trace, {fisher['samples_each']:,} samples each): "
        f"x {fisher['trace_x']:.4g} (rank {fisher['rank_x']}), y {fisher['trace_y_separate']:.4g}; "
        f"with tied loadings B_c = A_c y {fisher['trace_y_tied']:.4g} (joint rank {fisher['rank_both_tied']})"
    )
    lines = [
        "Validation mean squared error of x (un-attenuated), geometric mean [95% interval] over paired seeds",
        text_table(["arm", "steps", "error of x", "ratio to x", "ratio to x 2b"], rows),
        "",
        f"linear codes, unlimited data: best {best:.3f}, fitted to attenuated x {fitted:.3f}",
        "x samples that one y sample replaced:",
        text_table(["steps", "budget N", "rate", ""], rates),
        information,
        "",
    ]
    lines += [f"  {label}: {text}" for label, text in summary["verdicts"].items() if label != "uml / x"]
    lines.append(
        f"Claim of Figure 37 (N/2 x + N/2 y beat N x on x; equal samples per step): "
        f"{summary['verdicts']['uml / x']} (pointwise 95%; the paper prints no number)"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    parser = command_parser(__doc__, seeds=8, device=True)
    parser.add_argument("--steps", type=int, default=None, help="optimiser steps (default 10,000)")
    parser.add_argument("--batch", type=int, default=128, help="b, rows per step (default 128)")
    with command_line(parser, arguments) as options:
        plan = Plan(quick=options.quick, seeds=options.seeds, steps=options.steps, batch=options.batch)
    cells, planned = Cells(options.runs / f"{NAME}.jsonl"), plan.cells()
    todo = cells.missing(planned)
    compute(todo, cells, options.device)
    rows = rows_of(plan, cells)
    arms = by_arm(rows, plan)
    ratios = _ratios(arms, plan)
    summary = _summary(arms, ratios, plan)
    summary["findings"] = records(_findings(summary))
    print(_as_text(summary))
    figure = options.out / f"{NAME}.png"
    _draw(arms, ratios, summary, plan, figure)
    six_digits = {name: rows[name].map("{:.6g}".format) for name in (_ERROR, "mse_x_attenuated")}
    write_table(options.out / f"{NAME}.csv", rows.assign(**six_digits))
    return write_summary(
        summary, options, NAME, vars(plan), keys=planned, store=cells, computed=len(todo), verb="trained"
    )


if __name__ == "__main__":
    run_study(main)
