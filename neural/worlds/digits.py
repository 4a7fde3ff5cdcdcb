"""Handwritten digits that come with scikit-learn, with written descriptions and, from a folder of recordings, speech.

Ten classes whose pictures a linear model tells apart from a few examples leave little for another modality to add:
this is the small real case, not the one where gains are large.
"""

import re
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import stft
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from fisherkit.streams import streams
from neural.tasks.files import stratified_split
from neural.tasks.task import Embeddings, Task

__all__ = ["DESCRIPTIONS", "digits", "log_mel_statistics", "read_recordings"]

Array = NDArray[np.float64]

#: Sentences on each digit's name, strokes, loops, symmetry and place among the numbers.
DESCRIPTIONS: dict[str, tuple[str, ...]] = {
    "zero": (
        "The digit zero.",
        "A handwritten 0, spelled zero or nought.",
        "One closed loop and nothing else.",
        "An oval ring with a large empty hole in the middle.",
        "A single curved stroke that ends where it began.",
        "Round on the left and round on the right, with no straight line.",
        "Symmetric left to right and top to bottom.",
        "It looks the same upside down.",
        "An even number, smaller than one.",
        "The middle is blank and all the ink lies around it.",
    ),
    "one": (
        "The digit one.",
        "A handwritten 1, spelled one.",
        "One straight vertical stroke.",
        "A tall thin line down the middle, sometimes with a small flag at the top left.",
        "No loop, no hole and hardly a curve.",
        "All the ink lies in the middle; left and right are blank.",
        "Sometimes it stands on a short horizontal bar at the bottom.",
        "Nearly symmetric left to right.",
        "An odd number, the smallest above zero.",
        "The narrowest of all digits.",
    ),
    "two": (
        "The digit two.",
        "A handwritten 2, spelled two.",
        "A curve at the top that opens to the left, and a horizontal bar at the bottom.",
        "The stroke bends over to the right, runs down on a diagonal and ends in a straight bar.",
        "No hole, or only a tiny loop at the bottom left corner.",
        "It looks like a swan with a bent neck on a flat base.",
        "Not symmetric: round at the top, flat at the bottom.",
        "The mirror image of a five, roughly.",
        "An even number, and a prime.",
        "The diagonal goes from the top right to the bottom left.",
    ),
    "three": (
        "The digit three.",
        "A handwritten 3, spelled three.",
        "Two curves on the right side, one above the other, both open to the left.",
        "Half of an eight: the left half is missing.",
        "The stroke bends to the right twice and meets in the middle.",
        "No closed loop and no hole.",
        "Symmetric top to bottom, not left to right.",
        "The left side is blank in the middle.",
        "An odd number, and a prime.",
        "Round at the top, round at the bottom, with a notch in the middle.",
    ),
    "four": (
        "The digit four.",
        "A handwritten 4, spelled four.",
        "Straight strokes that cross: a vertical line and a horizontal bar.",
        "A diagonal on the left, a horizontal bar in the middle and a vertical line on the right.",
        "The top is open, or a triangle closes it around a small hole.",
        "It looks like a sail on a mast.",
        "No curve; all lines are straight.",
        "Only the vertical line reaches the bottom.",
        "An even number, twice two.",
        "Not symmetric: the bottom left is blank.",
    ),
    "five": (
        "The digit five.",
        "A handwritten 5, spelled five.",
        "A horizontal bar at the top, a short vertical stroke on the left and a round belly at the bottom right.",
        "The belly is a curve that opens to the left.",
        "No closed loop and no hole.",
        "Flat at the top, round at the bottom.",
        "It is written with two strokes, and the bar at the top is often the second.",
        "Like an S with corners in its upper half.",
        "An odd number, and a prime, half of ten.",
        "Not symmetric: the upper right is blank below the bar.",
    ),
    "six": (
        "The digit six.",
        "A handwritten 6, spelled six.",
        "One closed loop at the bottom and a curved stroke that rises from its left side.",
        "A hole in the lower half; the upper half is open to the right.",
        "A nine that stands upside down.",
        "A single stroke that runs down on the left and curls into a ring.",
        "Round all over, heavy at the bottom and thin at the top.",
        "Not symmetric: the upper right is blank.",
        "An even number, twice three.",
        "A tall curve on the left, a ring at the lower right.",
    ),
    "seven": (
        "The digit seven.",
        "A handwritten 7, spelled seven.",
        "A horizontal bar at the top and a long diagonal down from its right end.",
        "Two straight strokes that meet at the top right corner.",
        "Sometimes a short bar crosses the diagonal in the middle.",
        "No loop, no hole and hardly a curve.",
        "Flat and wide at the top, a single line at the bottom.",
        "The bottom right and the middle left are blank.",
        "An odd number, and a prime.",
        "Like a one with a longer flag at the top.",
    ),
    "eight": (
        "The digit eight.",
        "A handwritten 8, spelled eight.",
        "Two closed loops, one above the other.",
        "Two holes, one in the upper half and one in the lower half.",
        "A single stroke that crosses itself in the middle.",
        "Symmetric left to right and top to bottom.",
        "It looks the same upside down.",
        "Round at the top and round at the bottom, narrow in the middle.",
        "An even number, twice four.",
        "Two rings like a snowman, with curves on all sides.",
    ),
    "nine": (
        "The digit nine.",
        "A handwritten 9, spelled nine.",
        "One closed loop at the top and a stroke that falls from its right side.",
        "A hole in the upper half; the lower half is open to the left.",
        "A six that stands upside down.",
        "A ring with a tail, straight or curved, at the lower right.",
        "Heavy at the top and thin at the bottom.",
        "Not symmetric: the lower left is blank.",
        "An odd number, three times three.",
        "A round head on the upper left, a tall line on the right.",
    ),
}

_RATE = 8000
_NAME = re.compile(r"([0-9])_(.+)_([0-9]+)\.wav")


def digits(speech: str | Path | None = None, *, seed: int, noise_std: float = 4.0) -> Task:
    """Pictures of handwritten digits, sentences about digits, and spoken digits where there is a folder of them.

    Pictures (the target, 1,797 of 8 x 8 pixels, levels 0 to 16; Alpaydin and Kaynak 1998, as in scikit-learn) are
    split per class into 60% training pool, 20% validation pool and 20% test. Their features are the 64 pixels,
    less the training pool's mean, over its overall deviation. Text is TF-IDF of `DESCRIPTIONS`, fitted on these
    sentences alone; speech is `log_mel_statistics`, standardised over the recordings. Nothing pairs rows of different
    modalities but the label.

    Args:
        speech: folder laid out as the Free Spoken Digit Dataset's `recordings` (see `read_recordings`); None goes
            without speech.
        seed: whole number >= 0, for the split and the noise.
        noise_std: standard deviation, in grey levels, of what is added to the pixels of the test set "noise", which
            are then cut off at 0 and 16; >= 0.

    Returns:
        Task with tests "test" and "noise" (the same pictures, noisy), and auxiliaries "text" and perhaps "speech".

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a recording that cannot be used, a digit without recordings, or noise_std below 0.

    Example:
        >>> task = digits(seed=0)
        >>> len(task.train), list(task.tests), len(task.auxiliaries["text"])
        (1079, ['test', 'noise'], 100)
    """
    if not 0 <= noise_std < np.inf:
        raise ValueError(f"noise_std must be a finite number, at least 0, got {noise_std!r}")
    pixels, labels = load_digits(return_X_y=True)
    pools = stratified_split(labels, seed, "digits")
    # One factor for all pixels: with one each, noise in a pixel that is almost always blank would drown the others.
    centre = pixels[pools["train"]].mean(axis=0)
    spread = (pixels[pools["train"]] - centre).std()
    clean = pixels[pools["test"]]
    rng = streams(seed, ["pixel noise"])["pixel noise"]
    noisy = np.clip(clean + noise_std * rng.standard_normal(clean.shape), 0, 16)

    def picture(rows: Array, pool: str) -> Embeddings:
        return Embeddings((rows - centre) / spread, labels[pools[pool]], "image")

    sentences = [(text, digit) for digit, texts in enumerate(DESCRIPTIONS.values()) for text in texts]
    texts, text_labels = zip(*sentences, strict=True)
    auxiliaries = {
        "text": Embeddings(TfidfVectorizer().fit_transform(texts).toarray(), np.array(text_labels), "text")
    }
    if speech is not None:
        heard, spoken = read_recordings(speech)
        auxiliaries["speech"] = Embeddings(StandardScaler().fit_transform(heard), spoken, "speech")
    return Task(
        name="digits",
        classes=tuple(DESCRIPTIONS),
        train=picture(pixels[pools["train"]], "train"),
        val=picture(pixels[pools["val"]], "val"),
        tests={"test": picture(clean, "test"), "noise": picture(noisy, "test")},
        auxiliaries=auxiliaries,
        about={
            "source": "neural.worlds.digits",
            "seed": seed,
            "noise_std": float(noise_std),
            "recordings": len(auxiliaries["speech"]) if speech is not None else 0,
        },
    )


def read_recordings(folder: str | Path) -> tuple[Array, NDArray[np.int64]]:
    """(n, 80) statistics and (n,) digits of {digit}_{speaker}_{take}.wav files (16-bit, mono, 8 kHz), by file name."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; expected the recordings of spoken digits, {{digit}}_{{speaker}}_{{take}}.wav"
        )
    rows, spoken = [], []
    for path in sorted(folder.glob("*.wav")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(
                f"{path}: the name does not fit {{digit}}_{{speaker}}_{{take}}.wav, such as 7_jackson_32.wav; "
                "rename the file or move it away"
            )
        rows.append(log_mel_statistics(_read_wav(path)))
        spoken.append(int(match[1]))
    missing = sorted(set(range(10)) - set(spoken))
    if missing:
        raise ValueError(
            f"{folder}: no recording of digit {', '.join(map(str, missing))} among {len(rows)} .wav files; "
            "every digit needs at least one"
        )
    return np.stack(rows), np.array(spoken)


def log_mel_statistics(signal: Array, *, bands: int = 40) -> Array:
    """(2 bands,) means, then deviations over time of log-mel power: what is in a word (in [-1, 1], 8 kHz), not when."""
    # frames of 32 ms every 16 ms (Hann); triangular filters, evenly spaced in mel from 0 to 4 kHz; natural logarithm
    size = 256
    signal = np.pad(signal, (0, max(0, size - len(signal))))
    hertz, _, spectrum = stft(signal, _RATE, nperseg=size, boundary=None, padded=False)
    mel = 2595 * np.log10(1 + hertz / 700)
    edges = np.linspace(0, mel[-1], bands + 2)
    rising = (mel - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - mel) / np.diff(edges)[1:, None]
    filters = np.clip(np.minimum(rising, falling), 0, None)
    log_power = np.log(filters @ np.abs(spectrum) ** 2 + 1e-10)
    return np.concatenate([log_power.mean(axis=1), log_power.std(axis=1)])


def _read_wav(path: Path) -> Array:
    try:
        with wave.open(str(path), "rb") as file:
            found = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
            content = file.readframes(file.getnframes())
            if len(content) < file.getnframes() * file.getsampwidth() * file.getnchannels():
                raise EOFError
    except (wave.Error, EOFError) as error:
        raise ValueError(
            f"{path}: cannot be read as a PCM recording ({error or 'it ends too early'}); replace it or move it away"
        ) from None
    if found != (_RATE, 1, 16):
        raise ValueError(
            f"{path}: {found[0]} Hz, {found[1]} channel(s), {found[2]} bits; convert it to 8000 Hz, mono, 16-bit PCM"
        )
    if not content:
        raise ValueError(f"{path}: no samples in it; replace it or move it away")
    return np.frombuffer(content, dtype="<i2") / 32768
