"""The few-shot comparison: does unpaired data of another modality make a classifier better, against fair controls?

    from pathlib import Path

    from neural.fewshot import PRESETS, Plan, compare
    from neural.results.cells import Cells
    from neural.tasks.files import from_files

    plan = Plan(from_files("images.npz", {"text": "sentences.npz"}), PRESETS["default"])
    found = compare(plan, Cells(Path("runs/mine.jsonl")))
    print(found.markdown)
    found.draw(Path("mine.png"))

`presets` says how large it is, `plan` which cells it has, `cells` trains them (a killed run goes on from what is
finished), `report` makes the contrasts, tables and figure, `comparison` is all of it in one call. The arms are
`neural.heads.arms.ARMS`.
"""

from neural.fewshot.comparison import Comparison as Comparison
from neural.fewshot.comparison import compare as compare
from neural.fewshot.plan import Plan as Plan
from neural.fewshot.presets import PRESETS as PRESETS
from neural.fewshot.presets import Grid as Grid
from neural.fewshot.presets import Preset as Preset
from neural.fewshot.presets import resized as resized
