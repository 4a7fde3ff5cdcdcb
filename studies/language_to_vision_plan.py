"""What the transfer study trains: sizes, arms, cells."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fisherkit.checks import UnknownNameError
from neural.data.glyph_pictures import Jitter
from neural.data.glyphs import GlyphSettings
from neural.transfer.initialisations import INITIALISATIONS
from neural.transfer.pictures import PictureTask
from neural.transfer.training import Schedule

__all__ = ["ARMS", "MODES", "PRESETS", "Plan", "Preset", "arm_label"]

MODES = {"frozen": "layers frozen", "unfrozen": "layers unfrozen later", "full": "all trained from step 0"}

# (initialisation, mode) by name; the first of each mode is the claim, the others are what it is held against
ARMS: dict[str, tuple[str, str]] = {
    "pretrained_frozen": ("pretrained", "frozen"),
    "scratch_frozen": ("scratch", "frozen"),
    "shuffled_frozen": ("shuffled", "frozen"),
    "gaussian_frozen": ("gaussian", "frozen"),
    "pretrained_unfrozen": ("pretrained", "unfrozen"),
    "scratch_unfrozen": ("scratch", "unfrozen"),
    "shuffled_unfrozen": ("shuffled", "unfrozen"),
    "gaussian_unfrozen": ("gaussian", "unfrozen"),
    "scratch": ("scratch", "full"),
}


def arm_label(arm: str) -> str:
    """How figures and tables call an arm.

    Args:
        arm: one of `ARMS`.

    Returns:
        Text.

    Example:
        >>> arm_label("shuffled_frozen")
        'pretrained, shuffled; layers frozen'
    """
    how, mode = ARMS[arm]
    return f"{INITIALISATIONS[how]}; {MODES[mode]}"


@dataclass(frozen=True)
class Preset:
    """A size of the study.

    Attributes:
        seeds: paired repetitions.
        schedule: of every training; `unfreeze_at` is that of the unfrozen arms.
        learning_rates: every arm trains with each of these and reports the one that validates best.
        glyphs: classes and pictures of the embedded data.
        patch: pixels of a patch's sides, embedded data.
        look_at: files per class at most in validation and test, of image folders.
    """

    seeds: int
    schedule: Schedule
    learning_rates: tuple[float, ...]
    glyphs: GlyphSettings = field(default_factory=GlyphSettings)
    patch: int = 8
    look_at: int | None = 50


# About half the jitter of the few-shot benchmark, and fresh pictures enough: with 40 strongly jittered ones per class
# the networks learned them by heart (training loss 0.4, test accuracy 20% of 30 classes), whatever they started from.
_JITTER = Jitter(smallest=0.85, largest=1.0, shift=1.5, rotation=8.0, noise=0.05)

PRESETS = {
    "quick": Preset(
        seeds=3,
        schedule=Schedule(steps=100, batch=32, warmup=10, unfreeze_at=30, look_every=10, save_every=50),
        learning_rates=(1e-3,),
        glyphs=GlyphSettings(n_classes=20, train=200, val=8, test=20, jitter=_JITTER),
    ),
    "default": Preset(
        seeds=5,
        schedule=Schedule(steps=400, batch=32, warmup=20, unfreeze_at=100, look_every=40, save_every=200),
        learning_rates=(1e-3, 3e-3, 1e-2),
        glyphs=GlyphSettings(n_classes=50, train=200, val=8, test=20, jitter=_JITTER),
    ),
    # B.4.4 gives patches, dropout and the 2,000 steps; batch, rates and length of training are not stated.
    "paper": Preset(
        seeds=3,
        schedule=Schedule(
            steps=20_000,
            batch=256,
            warmup=1000,
            unfreeze_at=2000,
            look_every=1000,
            save_every=1000,
            precision="bfloat16",
        ),
        learning_rates=(1e-4,),
        patch=4,
    ),
}


@dataclass(frozen=True)
class Plan:
    """Which cells a study has.

    Attributes:
        language: fingerprint of the language model's files, or of the small BERT.
        task: repetition to the pictures; one repetition's are the same for all arms.
        preset: size.
        arms: which; none takes all. The pretrained arm of a mode comes along with its controls, and
            "scratch" always.

    Raises:
        UnknownNameError: no such arm.
        ValueError: fewer than two seeds, no learning rate.
    """

    language: dict[str, Any]
    task: Callable[[int], PictureTask]
    preset: Preset
    arms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for arm in self.arms:
            if arm not in ARMS:
                raise UnknownNameError(arm, ARMS, "arm")
        modes = {ARMS[arm][1] for arm in self.arms or ARMS}
        along = {"scratch", *(f"pretrained_{'unfrozen' if m == 'full' else m}" for m in modes)}
        chosen = set(self.arms or ARMS) | along
        object.__setattr__(self, "arms", tuple(arm for arm in ARMS if arm in chosen))
        if self.preset.seeds < 2:
            raise ValueError(
                f"--seeds: intervals need at least 2 paired repetitions, got {self.preset.seeds}"
            )
        if not self.preset.learning_rates:
            raise ValueError("--learning-rates: give at least one")

    def schedule(self, arm: str, learning_rate: float) -> Schedule:
        """How an arm is trained."""
        when = {"frozen": None, "unfrozen": self.preset.schedule.unfreeze_at, "full": 0}[ARMS[arm][1]]
        return replace(self.preset.schedule, learning_rate=learning_rate, unfreeze_at=when)

    def cell(self, arm: str, seed: int, learning_rate: float) -> dict[str, Any]:
        """Everything that decides one training."""
        return {
            "version": 1,
            "arm": arm,
            "seed": seed,
            "language": self.language,
            "task": self.task(seed).fingerprint,
            "schedule": asdict(self.schedule(arm, learning_rate)),
        }

    def cells(self) -> list[dict[str, Any]]:
        """All cells, repetition by repetition."""
        rates = self.preset.learning_rates
        return [self.cell(a, s, r) for s in range(self.preset.seeds) for r in rates for a in self.arms]
