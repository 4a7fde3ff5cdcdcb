"""Sound files: read, mixed to one channel, brought to the network's sampling rate, cut the same way every time."""

import warnings
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

__all__ = ["central_part", "read_wave"]


def read_wave(path: Path, rate: int) -> NDArray[np.float32]:
    """Mono waveform of a WAV file.

    Args:
        path: file with PCM (8 to 32 bits) or floating-point samples.
        rate: sampling rate wanted, in Hz; resampled by a polyphase filter where the file has another.

    Returns:
        (samples,) float32; full scale is 1.

    Raises:
        ValueError: a file that cannot be read or holds no sample, with its path.
    """
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


def central_part(wave: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The middle of a waveform that is too long; shorter ones stay as they are.

    Args:
        wave: (samples,).
        length: samples to keep at most.

    Returns:
        (min(samples, length),).

    Example:
        >>> central_part(np.arange(5, dtype=np.float32), 3)
        array([1., 2., 3.], dtype=float32)
    """
    start = max(0, (len(wave) - length) // 2)
    return wave[start : start + length]
