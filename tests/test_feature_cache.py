"""The feature cache: found by content, made once, safe against kills, damage and company."""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fisherkit.checks import UnknownNameError
from neural.embed import FunctionEncoder, encode, encode_tokens, encoder
from neural.embed import cache as cache_module
from neural.embed import digests as digests_module
from neural.embed.cache import features, token_features
from neural.embed.claims import Claim
from neural.embed.digests import digests_of
from neural.embed.maintenance import add_command, entries, remove, verify
from neural.embed.shards import shard_paths
from neural.store.array_cache import CorruptCacheWarning
from tests import tiny_encoders as tiny
from tests.strategies import seeds

ROOT = Path(__file__).resolve().parent.parent


class Counting:
    """An encoder of sentences that remembers what it was asked for."""

    def __init__(self, version="1"):
        self.asked = []
        self.encoder = FunctionEncoder("counting", "text", version, self._encode, batch_size=3)

    def _encode(self, sentences):
        self.asked += sentences
        return vectors(sentences)


def vectors(sentences):
    """(n, 2) float32: length and a checksum of each sentence."""
    return np.array([[len(s), sum(map(ord, s)) % 1009] for s in sentences], np.float32).reshape(-1, 2)


def words(count, seed=0):
    """Different short strings."""
    rng = np.random.default_rng(seed)
    return [f"{i} {rng.integers(1000)}" for i in range(count)]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Networks this small only lose by sharing out their work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---------------------------------------------------------------- contents


@settings(max_examples=25)
@given(seeds, st.integers(1, 6))
def test_whatever_is_asked_for_in_whatever_order_is_encoded_once(tmp_path_factory, seed, shard_size):
    rng = np.random.default_rng(seed)
    cache = tmp_path_factory.mktemp("cache")
    pool, made = words(20, seed), Counting()
    for _ in range(4):
        wanted = [pool[i] for i in rng.integers(0, len(pool), rng.integers(1, 25))]
        got = features(made.encoder, wanted, cache=cache, shard_size=shard_size)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, vectors(wanted))
    assert len(made.asked) == len(set(made.asked))
    assert verify(cache) == {}


def test_without_a_cache_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Counting()
    np.testing.assert_array_equal(features(made.encoder, ["a", "b"], cache=None), vectors(["a", "b"]))
    assert list(tmp_path.iterdir()) == []


def test_a_new_version_is_another_encoder(tmp_path):
    for version, asked in (("1", 2), ("2", 2), ("1", 0)):
        made = Counting(version)
        features(made.encoder, ["a", "b"], cache=tmp_path)
        assert len(made.asked) == asked
    assert len(entries(tmp_path)) == 2


def test_files_are_known_by_content_not_by_name(tmp_path):
    asked = []

    def read(paths):
        asked.extend(path.name for path in paths)
        return [[float(path.read_text())] for path in paths]

    made = FunctionEncoder("reading", "image", "1", read)
    (tmp_path / "one").write_text("1")
    (tmp_path / "same").write_text("1")
    (tmp_path / "two").write_text("2")
    cache = tmp_path / "cache"
    paths = [tmp_path / name for name in ("one", "two", "same")]
    assert features(made, paths, cache=cache).tolist() == [[1.0], [2.0], [1.0]]
    assert asked == ["one", "two"]
    moved = (tmp_path / "two").rename(tmp_path / "renamed")
    (tmp_path / "one").write_text("3")
    assert features(made, [moved, tmp_path / "one", tmp_path / "same"], cache=cache).tolist() == [
        [2.0],
        [3.0],
        [1.0],
    ]
    assert asked == ["one", "two", "one"]


def test_settled_files_are_not_read_again_and_changed_ones_are(tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}" for i in range(4)]
    for i, path in enumerate(paths):
        path.write_text(str(i))
        os.utime(path, (1000, 1000))
    read = []
    original = digests_module._file
    monkeypatch.setattr(digests_module, "_file", lambda path: read.append(path) or original(path))
    memo = tmp_path / "memo"
    first = digests_of(paths, "image", "vit", memo=memo)
    assert len(read) == 4
    np.testing.assert_array_equal(digests_of(paths, "image", "vit", memo=memo), first)
    assert len(read) == 4
    paths[2].write_text("x")  # same size; changed just now
    second = digests_of(paths, "image", "vit", memo=memo)
    assert (second != first).any(axis=1).tolist() == [False, False, True, False]
    assert read[4:] == [str(paths[2])]
    # changed within the resolution of the file system's clock: it may have changed again since, so it is read again
    digests_of(paths, "image", "vit", memo=memo)
    assert read[5:] == [str(paths[2])]
    next(memo.iterdir()).write_bytes(b"rubbish")
    np.testing.assert_array_equal(digests_of(paths, "image", "vit", memo=memo), second)


def test_images_in_memory_are_known_by_their_pixels():
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    other = image.copy()
    other.putpixel((0, 0), (0, 0, 0))
    rows = digests_of([image, image.copy(), other, image.resize((2, 8))], "image", "vit")
    assert (rows[0] == rows[1]).all()
    assert len(np.unique(rows, axis=0)) == 3


@given(st.lists(st.text(), max_size=10))
def test_digests_tell_sentences_apart(sentences):
    rows = digests_of(sentences, "text", "bert")
    assert len({bytes(row) for row in rows}) == len(set(sentences))


def test_real_encoders_in_every_setting_have_entries_of_their_own(tmp_path):
    tiny.quiet()
    folder = tiny.save_text(tmp_path / "bert", "bert")
    cache = tmp_path / "cache"
    sentences = tiny.sentences(7)
    made = [
        encoder(folder),
        encoder(folder, pooling="mean"),
        encoder(folder, normalize=True),
        encoder(folder, dtype="bfloat16"),
        encoder(folder, max_length=5),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # sentences cut to five tokens
        for one in made:
            got = features(one, sentences, cache=cache, shard_size=3)
            rounding = 0.05 if one.identity["dtype"] == "bfloat16" else 1e-5
            np.testing.assert_allclose(got, encode(one, sentences), rtol=rounding, atol=rounding)
    assert len(entries(cache)) == len(made)
    # the same files elsewhere, another batch size: nothing to encode
    again = encoder(folder.rename(tmp_path / "moved"), batch_size=2)
    np.testing.assert_array_equal(
        features(again, sentences, cache=cache), features(again, sentences, cache=cache)
    )
    assert "network" not in vars(again)  # its weights were never loaded
    assert len(entries(cache)) == len(made)


def test_token_features_come_back_as_they_were(tmp_path):
    tiny.quiet()
    made = encoder(tiny.save_text(tmp_path / "gpt2", "gpt2"))
    sentences = tiny.sentences(9)
    expected = encode_tokens(made, sentences)
    for _ in range(2):
        got = token_features(made, sentences, cache=tmp_path / "cache", shard_size=4)
        np.testing.assert_array_equal(got.mask, expected.mask)
        np.testing.assert_allclose(got.features, expected.features, rtol=1e-4, atol=1e-4)
    assert [entry.tokens for entry in entries(tmp_path / "cache")] == [True]
    part = token_features(made, sentences[:2], cache=tmp_path / "cache")
    assert part.features.shape[1] == part.mask.sum(axis=1).max()
    assert token_features(made, sentences, cache=None).features.shape == expected.features.shape


def test_images_go_through_the_cache(tmp_path):
    tiny.quiet()
    made = encoder(tiny.save_image(tmp_path / "vit", "vit"))
    paths = tiny.save_images(tmp_path / "images", 5)
    first = features(made, paths, cache=tmp_path / "cache", shard_size=2)
    np.testing.assert_allclose(first, encode(made, paths), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(features(made, paths[::-1], cache=tmp_path / "cache"), first[::-1])


# ---------------------------------------------------------------- kills and company

WORKER = """
import os, sys, time
from pathlib import Path
from neural.embed import register
from neural.embed.cache import features
from tests.test_feature_cache import vectors, words

@register("slow", modality="text", version="1")
def slow(sentences):
    with open(sys.argv[2], "a") as log:
        for sentence in sentences:
            print(sentence, file=log, flush=True)
            time.sleep(float(sys.argv[3]))
    return vectors(sentences)

(Path(sys.argv[1]).parent / f"ready-{os.getpid()}").touch()
while len(list(Path(sys.argv[1]).parent.glob("ready-*"))) < int(os.environ["WORLD_SIZE"]):
    time.sleep(0.005)
got = features(slow, words(int(sys.argv[4])), cache=sys.argv[1], shard_size=5)
assert (got == vectors(words(int(sys.argv[4])))).all()
"""


def start(cache, log, pause, count, rank=0, world=1):
    """Another process that fills the cache."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(cache), str(log), str(pause), str(count)],
        cwd=ROOT,
        env={**os.environ, "RANK": str(rank), "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1"},
    )


def folder_of(cache):
    """The only encoder's folder."""
    return next((path for path in Path(cache).glob("text-*")), Path(cache) / "none")


def test_a_killed_run_loses_at_most_the_shard_in_flight(tmp_path):
    process = start(tmp_path / "cache", tmp_path / "log", 0.01, 500)
    try:
        limit = time.monotonic() + 120
        while len(shard_paths(folder_of(tmp_path / "cache"))) < 3 and time.monotonic() < limit:
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    log = (tmp_path / "log").read_text().splitlines()
    kept = len(shard_paths(folder_of(tmp_path / "cache"))) * 5
    assert 15 <= kept < 500
    assert len(log) - kept <= 5
    made = Counting()
    resumed = FunctionEncoder("slow", "text", "1", made._encode)
    np.testing.assert_array_equal(
        features(resumed, words(500), cache=tmp_path / "cache", shard_size=5), vectors(words(500))
    )
    # in any order: a claim that the kill left empty is honoured for a while, and its shard made last
    assert sorted(made.asked) == sorted(words(500)[kept:])
    left = verify(tmp_path / "cache")  # at most what the killed process was writing
    assert set(left.values()) <= {"left by a killed run"}


def test_processes_share_the_work_and_do_nothing_twice(tmp_path):
    logs = [tmp_path / "log0", tmp_path / "log1"]
    processes = [start(tmp_path / "cache", log, 0.02, 120, rank, 2) for rank, log in enumerate(logs)]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    asked = [log.read_text().splitlines() for log in logs]
    assert sorted(asked[0] + asked[1]) == sorted(words(120))
    assert verify(tmp_path / "cache") == {}
    shard = {word: i // 5 for i, word in enumerate(words(120))}
    for rank in range(2):  # each begins with its own, every second one
        assert [shard[word] for word in asked[rank][:5]] == [rank] * 5


def test_every_process_takes_every_wth_shard_first(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    made = Counting()
    features(made.encoder, words(12), cache=tmp_path, shard_size=2)
    order = [words(12).index(word) // 2 for word in made.asked[::2]]
    assert order == [1, 4, 0, 2, 3, 5]


def test_claims_of_dead_processes_are_taken_over_and_of_living_ones_are_not(tmp_path):
    path = tmp_path / "x.claim"
    claim = Claim.take(path)
    assert claim.holder() == (socket.gethostname(), os.getpid())
    assert Claim.take(path) is None
    claim.release()
    assert not path.exists()

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": dead.pid}))
    assert Claim.take(path).holder()[1] == os.getpid()

    path.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    other = Claim(path)
    assert Claim.take(path) is None
    other.release()  # not ours
    assert path.exists()
    os.utime(path, (0, 0))
    other.refresh()
    assert Claim.take(path) is None
    os.utime(path, (0, 0))
    assert Claim.take(path) is not None

    path.write_text("")  # killed between making and writing it
    assert Claim.take(path) is None
    os.utime(path, (time.time() - 60,) * 2)
    assert Claim.take(path) is not None


def test_a_process_waits_for_another_ones_shard_and_does_not_make_it_again(tmp_path, monkeypatch):
    made = Counting()
    finished = features(made.encoder, words(4), cache=tmp_path, shard_size=2)
    store = folder_of(tmp_path)
    held = shard_paths(store)[0]
    content = held.read_bytes()
    held.unlink()
    claim = held.with_suffix(".claim")
    claim.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    waits = []

    def other_process_finishes():
        waits.append(1)
        if len(waits) == 3:
            held.write_bytes(content)
            claim.unlink()

    monkeypatch.setattr(cache_module, "wait", other_process_finishes)
    np.testing.assert_array_equal(features(made.encoder, words(4), cache=tmp_path, shard_size=2), finished)
    assert len(waits) == 3
    assert len(made.asked) == 4


def test_an_error_keeps_what_was_done_and_leaves_no_claim(tmp_path):
    def fragile(sentences):
        if "7 " in sentences[0]:
            raise ValueError("out of luck")
        return vectors(sentences)

    with pytest.raises(ValueError, match="out of luck"):
        features(
            FunctionEncoder("f", "text", "1", fragile, 1),
            [f"{i} " for i in range(9)],
            cache=tmp_path,
            shard_size=2,
        )
    assert len(shard_paths(folder_of(tmp_path))) == 3
    assert list(folder_of(tmp_path).glob("*.claim")) == []
    made = Counting()
    features(
        FunctionEncoder("f", "text", "1", made._encode),
        [f"{i} " for i in range(9)],
        cache=tmp_path,
        shard_size=2,
    )
    assert made.asked == ["6 ", "7 ", "8 "]


# ---------------------------------------------------------------- damage


@settings(max_examples=60)
@given(seeds, st.integers(0, 10**6), st.integers(1, 255))
def test_whatever_byte_is_damaged_what_comes_out_is_right(tmp_path_factory, seed, position, mask):
    cache = tmp_path_factory.mktemp("cache")
    made = Counting()
    features(made.encoder, words(9, seed), cache=cache, shard_size=3)
    path = shard_paths(folder_of(cache))[seed % 3]
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= mask
    path.write_bytes(content)
    made.asked.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got = features(made.encoder, words(9, seed), cache=cache, shard_size=3)
    np.testing.assert_array_equal(got, vectors(words(9, seed)))
    aside = list(folder_of(cache).glob("*.corrupt-*"))
    assert len(aside) == len(caught)
    for warning in caught:
        assert warning.category is CorruptCacheWarning
        assert str(path) in str(warning.message)
        assert aside[0].read_bytes() == content
    # blanks of the header are part of no checksum; all else is noticed, and the shard's three inputs encoded again
    assert len(set(made.asked)) == (3 if caught else 0)
    np.testing.assert_array_equal(features(made.encoder, words(9, seed), cache=cache), got)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"<html>", b"\xff" * 200])
def test_files_that_are_no_shards_are_set_aside(tmp_path, content):
    made = Counting()
    features(made.encoder, words(4), cache=tmp_path, shard_size=2)
    path = shard_paths(folder_of(tmp_path))[0]
    path.write_bytes(content)
    assert list(verify(tmp_path)) == [path]
    with pytest.warns(CorruptCacheWarning, match=re.escape(f"{path}: this shard of counting is damaged (")):
        got = features(made.encoder, words(4), cache=tmp_path, shard_size=2)
    np.testing.assert_array_equal(got, vectors(words(4)))
    assert list(verify(tmp_path).values()) == ["moved aside before because it was damaged"]


def test_a_shard_of_another_encoder_is_not_believed(tmp_path):
    for version in ("1", "2"):
        features(Counting(version).encoder, words(2), cache=tmp_path)
    first, second = (entry.folder for entry in entries(tmp_path))
    shard_paths(second)[0].write_bytes(shard_paths(first)[0].read_bytes())
    assert "damaged (made for" in next(iter(verify(tmp_path).values()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for version in ("1", "2"):
            got = features(Counting(version).encoder, words(2), cache=tmp_path)
            np.testing.assert_array_equal(got, vectors(words(2)))
    assert ["made for" in str(warning.message) for warning in caught] == [True]


def test_a_damaged_manifest_is_written_again(tmp_path):
    made = Counting()
    features(made.encoder, words(2), cache=tmp_path)
    manifest = folder_of(tmp_path) / "manifest.json"
    whole = json.loads(manifest.read_text())
    assert whole["identity"]["encoder"] == made.encoder.identity
    assert {"python", "torch", "transformers"} <= set(whole["libraries"])
    for content, problem in (("{", "Expecting"), (json.dumps(whole | {"identity": {}}), "another encoder")):
        manifest.write_text(content)
        with pytest.warns(CorruptCacheWarning, match=f"this manifest is damaged .*{problem}"):
            features(made.encoder, [problem], cache=tmp_path)
        assert json.loads(manifest.read_text())["identity"] == whole["identity"]


def test_a_disk_that_loses_everything_is_told(tmp_path, monkeypatch):
    write = cache_module.FeatureStore.add

    def lose(store, path, digests, rows):
        write(store, path, digests, rows)
        path.write_bytes(path.read_bytes()[:-1] + b"?")

    monkeypatch.setattr(cache_module.FeatureStore, "add", lose)
    with (
        pytest.warns(CorruptCacheWarning),
        pytest.raises(OSError, match="features are damaged as soon as they are written; check the disk"),
    ):
        features(Counting().encoder, ["a"], cache=tmp_path)


# ---------------------------------------------------------------- bad input


def test_inputs_of_another_modality_are_told(tmp_path):
    sentence, picture = Counting().encoder, FunctionEncoder("eye", "image", "1", len)
    with pytest.raises(TypeError, match=r"counting: encodes text, but input 1 is PosixPath\('a.png'\)"):
        features(sentence, ["a", Path("a.png")], cache=tmp_path)
    with pytest.raises(
        FileNotFoundError,
        match=r"eye: encodes image files, and input 0 \('a photo'\) is none .* text encoder",
    ):
        features(picture, ["a photo"], cache=tmp_path)
    with pytest.raises(TypeError, match="eye: encodes image, but input 0 is of type int; pass paths"):
        features(picture, [3], cache=tmp_path)
    with pytest.raises(TypeError, match="inputs must be a sequence, got the single str 'a photo'"):
        features(sentence, "a photo", cache=tmp_path)
    with pytest.raises(ValueError, match="counting: nothing to encode; give at least one input"):
        features(sentence, [], cache=tmp_path)
    with pytest.raises(ValueError, match="shard_size must be a whole number >= 1, got 0"):
        features(sentence, ["a"], cache=tmp_path, shard_size=0)
    with pytest.raises(TypeError, match="encodes text, but input 0"):
        features(sentence, [Path("a.png")], cache=None)


def test_an_encoder_that_changed_its_width_is_told(tmp_path):
    features(FunctionEncoder("f", "text", "1", lambda s: np.ones((len(s), 2))), ["a"], cache=tmp_path)
    with pytest.raises(
        ValueError, match=r"f: the cache holds features of different lengths \[2, 3\]; .* new version"
    ):
        features(
            FunctionEncoder("f", "text", "1", lambda s: np.ones((len(s), 3))), ["a", "b"], cache=tmp_path
        )


# ---------------------------------------------------------------- maintenance


def command(*arguments):
    """Exit status of ``python -m neural features ...``."""
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["features", *map(str, arguments)])
    return parsed.run(parsed)


def test_a_cache_can_be_listed_verified_and_emptied(tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match="there is no feature cache here"):
        command("list", "--cache", tmp_path / "none")
    for version in ("1", "2"):
        features(Counting(version).encoder, words(5), cache=tmp_path, shard_size=2)
    features(FunctionEncoder("other", "text", "3", vectors), words(2), cache=tmp_path)
    assert command("list", "--cache", tmp_path) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 4
    assert "counting" in listed[0]
    assert "3 shards" in listed[0]
    assert "function, version 3" in listed[2]
    assert listed[3].startswith("3 encoders, ")
    assert command("verify", "--cache", tmp_path) == 0
    assert capsys.readouterr().out == "sound\n"

    damaged = shard_paths(entries(tmp_path)[0].folder)[1]
    damaged.write_bytes(damaged.read_bytes()[:-3])
    assert command("verify", "--cache", tmp_path) == 1
    printed = capsys.readouterr().out
    assert f"{damaged}: damaged (" in printed
    assert printed.endswith("1 problems\n")

    with pytest.raises(
        UnknownNameError, match="unknown entry of the cache 'countin'; did you mean 'counting'"
    ):
        remove(tmp_path, ["countin"])
    claim = entries(tmp_path)[0].folder / "shard-0.claim"
    claim.write_text(json.dumps({"host": "elsewhere", "pid": 12}))
    with pytest.raises(OSError, match="process 12 on elsewhere is adding to it; end it first"):
        remove(tmp_path, ["counting"])
    claim.unlink()
    assert command("remove", "--cache", tmp_path, "counting") == 0
    assert capsys.readouterr().out.count("removed text-") == 2
    assert [entry.name for entry in entries(tmp_path)] == ["other"]
    assert [gone.name for gone in remove(tmp_path, [entries(tmp_path)[0].folder.name])] == ["other"]
    assert entries(tmp_path) == []


def test_what_killed_runs_leave_is_listed_and_does_no_harm(tmp_path):
    made = Counting()
    features(made.encoder, words(2), cache=tmp_path)
    folder = folder_of(tmp_path)
    (folder / ".shard-0.safetensors.99.part").write_bytes(b"half")
    claim = folder / "shard-1.claim"
    claim.write_text(json.dumps({"host": "elsewhere", "pid": 12}))
    os.utime(claim, (0, 0))
    assert list(verify(tmp_path).values()) == ["left by a killed run"] * 2
    np.testing.assert_array_equal(features(made.encoder, words(2), cache=tmp_path), vectors(words(2)))
    assert len(made.asked) == 2
