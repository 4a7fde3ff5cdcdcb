"""Sound files: read, mixed to one channel, brought to the network's sampling rate."""

import warnings
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

__all__ = ["read_wave"]


def read_wave(path: Path, rate: int) -> NDArray[np.float32]:
    """(samples,) float32 of a WAV file, channels averaged, full scale 1, resampled (polyphase) to `rate` Hz."""
    try:
        with warnings.catch_warnings():  # chunks of metadata that the reader skips
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            have, samples = wavfile.read(path)
    except (OSError, ValueError, EOFError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(
            f"{path}: this sound cannot be read ({error}); only WAV files are (ffmpeg -i IN OUT.wav converts others)"
        ) from error
    if not len(samples):
        raise ValueError(f"{path}: this sound holds no sample; leave it out of the list")
    if samples.dtype == np.uint8:
        wave = (samples.astype(np.float64) - 128) / 128
    elif samples.dtype.kind == "i":
        wave = samples / -float(np.iinfo(samples.dtype).min)
    else:
        wave = samples.astype(np.float64)
    if wave.ndim == 2:
        wave = wave.mean(axis=1)
    if have != rate:
        common = gcd(int(have), int(rate))
        wave = resample_poly(wave, rate // common, have // common)
    return wave.astype(np.float32)
