"""Handwritten, written and spoken digits; recordings are made up here, unless the real ones lie beside the project."""

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural.worlds.digits import DESCRIPTIONS, digits, log_mel_statistics, read_recordings

RECORDINGS = Path(__file__).parents[2] / "shared" / "data" / "fsdd" / "recordings"


def tone(hertz, seconds=0.2, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(int(8000 * seconds)) / 8000)


def write_wav(path, signal, *, rate=8000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes((signal * 32767).astype("<i2").tobytes())


@pytest.fixture
def folder(tmp_path):
    for digit in range(10):
        for take in range(2):
            write_wav(tmp_path / f"{digit}_made_up_{take}.wav", tone(300 + 300 * digit, 0.1 + 0.05 * take))
    (tmp_path / "README.md").write_text("left alone")
    return tmp_path


def test_pictures_are_split_once_and_scaled_by_the_training_pool():
    task = digits(seed=0)
    pools = [task.train, task.val, task.tests["test"]]
    assert sum(map(len, pools)) == 1797
    assert all(pool.dim == 64 for pool in pools)
    share = np.stack([pool.counts(10) for pool in pools]) / sum(pool.counts(10) for pool in pools)
    np.testing.assert_allclose(share, np.array([[0.6], [0.2], [0.2]]) + np.zeros(10), atol=0.01)
    np.testing.assert_allclose(task.train.features.mean(0), 0, atol=1e-5)
    assert task.train.features.std() == pytest.approx(1, abs=1e-5)
    rows = np.concatenate([pool.features for pool in pools])
    assert len(np.unique(rows, axis=0)) == 1797  # no picture is in two pools


def test_seeds_decide_the_split():
    first, again, other = digits(seed=0), digits(seed=0), digits(seed=1)
    np.testing.assert_array_equal(first.train.features, again.train.features)
    assert not np.array_equal(first.train.labels, other.train.labels) or not np.array_equal(
        first.train.features, other.train.features
    )
    np.testing.assert_array_equal(first.auxiliaries["text"].features, other.auxiliaries["text"].features)


def test_noise_is_added_to_the_same_pictures():
    task = digits(seed=0)
    np.testing.assert_array_equal(task.tests["test"].labels, task.tests["noise"].labels)
    assert list(task.tests) == ["test", "noise"]
    assert not np.allclose(task.tests["test"].features, task.tests["noise"].features)
    still = digits(seed=0, noise_std=0.0)
    np.testing.assert_array_equal(still.tests["test"].features, still.tests["noise"].features)
    for wrong in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="noise_std must be a finite number, at least 0"):
            digits(seed=0, noise_std=wrong)


def test_every_digit_is_described_in_several_sentences_of_its_own():
    assert list(DESCRIPTIONS) == [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
    ]
    for digit, (name, sentences) in enumerate(DESCRIPTIONS.items()):
        assert len(set(sentences)) == len(sentences) >= 8
        assert any(name in s for s in sentences)
        assert any(str(digit) in s for s in sentences)
    text = digits(seed=0).auxiliaries["text"]
    np.testing.assert_allclose(np.linalg.norm(text.features, axis=1), 1, rtol=1e-5)  # none is empty
    assert text.counts(10).min() >= 8


def test_speech_is_a_further_modality_that_leaves_the_others_alone(folder):
    plain, task = digits(seed=0), digits(folder, seed=0)
    assert task.dims == {"image": 64, "text": plain.dims["text"], "speech": 80}
    assert task.auxiliaries["speech"].labels.tolist() == [d for d in range(10) for _ in range(2)]
    np.testing.assert_array_equal(plain.train.features, task.train.features)
    np.testing.assert_array_equal(plain.auxiliaries["text"].features, task.auxiliaries["text"].features)
    assert task.about["recordings"] == 20


@given(st.floats(150, 3800))
@settings(max_examples=30, deadline=None)
def test_a_tone_is_loudest_in_the_mel_band_around_its_frequency(hertz):
    mean = log_mel_statistics(tone(hertz))[:40]
    centres = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42)[1:-1]
    nearest = np.abs(centres - 2595 * np.log10(1 + hertz / 700)).argmin()
    assert abs(int(mean.argmax()) - nearest) <= 1


@given(st.floats(0.01, 1.0))
@settings(max_examples=10, deadline=None)
def test_loudness_moves_every_band_by_the_same_amount(level):
    # Power in a band is proportional to the squared level: an oracle for window, filters and logarithm together.
    noise = np.random.default_rng(0).uniform(-1, 1, 1600)
    loud, soft = log_mel_statistics(noise), log_mel_statistics(level * noise)
    np.testing.assert_allclose(loud[:40] - soft[:40], -2 * np.log(level), atol=0.05)
    np.testing.assert_allclose(loud[40:], soft[40:], atol=0.05)


def test_recordings_shorter_than_a_frame_count_too(folder):
    write_wav(folder / "3_short_0.wav", tone(440, 0.005))
    rows, spoken = read_recordings(folder)
    assert np.isfinite(rows).all()
    assert len(rows) == len(spoken) == 21


def test_missing_folder(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"nowhere: no such folder; expected .*\{digit\}_\{speaker\}_\{take\}"
    ):
        digits(tmp_path / "nowhere", seed=0)


@pytest.mark.parametrize("name", ["x_jackson_3.wav", "10_jackson_3.wav", "7_jackson.wav", "7_jackson_x.wav"])
def test_names_that_do_not_fit_are_named(folder, name):
    write_wav(folder / name, tone(440))
    with pytest.raises(ValueError, match=f"{name}: the name does not fit"):
        read_recordings(folder)


def test_digits_without_recordings_are_named(folder):
    for digit in (4, 7):
        for take in range(2):
            (folder / f"{digit}_made_up_{take}.wav").unlink()
    with pytest.raises(ValueError, match=r"no recording of digit 4, 7 among 16 \.wav files"):
        digits(folder, seed=0)


def test_an_empty_folder_has_no_digit(tmp_path):
    with pytest.raises(ValueError, match="no recording of digit 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 among 0"):
        read_recordings(tmp_path)


@pytest.mark.parametrize("length", [0, 3, 20, 50, 1000])
def test_recordings_cut_short_are_named(folder, length):
    path = folder / "5_made_up_1.wav"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"5_made_up_1\.wav: cannot be read as a PCM recording"):
        read_recordings(folder)


def test_text_in_a_wav_file_is_named(folder):
    (folder / "5_made_up_1.wav").write_text("not sound at all, only words that go on for a while")
    with pytest.raises(ValueError, match=r"5_made_up_1\.wav: cannot be read as a PCM recording \(.*RIFF"):
        read_recordings(folder)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"rate": 16000}, r"16000 Hz, 1 channel\(s\), 16 bits; convert it to 8000 Hz"),
        ({"channels": 2}, r"8000 Hz, 2 channel\(s\)"),
        ({"width": 1}, r"8000 Hz, 1 channel\(s\), 8 bits"),
    ],
)
def test_other_kinds_of_recording_are_named(folder, form, text):
    write_wav(folder / "5_made_up_1.wav", tone(440), **form)
    with pytest.raises(ValueError, match=rf"5_made_up_1\.wav: {text}"):
        read_recordings(folder)


def test_recordings_without_samples_are_named(folder):
    write_wav(folder / "5_made_up_1.wav", np.zeros(0))
    with pytest.raises(ValueError, match=r"5_made_up_1\.wav: no samples in it"):
        read_recordings(folder)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the Free Spoken Digit Dataset is not beside the project")
def test_real_recordings_tell_digits_apart():
    # Nearest class mean on held-out takes of the 3,000 recordings; guessing gets 10%, and 30% of 600 with
    # probability below 1e-40.
    speech = digits(RECORDINGS, seed=0).auxiliaries["speech"]
    assert speech.dim == 80
    held_out = np.arange(len(speech)) % 5 == 0
    means = speech.take(~held_out).class_means(10)
    test = speech.take(held_out)
    nearest = ((test.features[:, None] - means) ** 2).sum(-1).argmin(1)
    assert (nearest == test.labels).mean() > 0.3
