"""Checkpoints of a training: all of the state or none of it, damaged and foreign files, the error of a bad step."""

import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from neural.minibatches import RowStream, torch_generator
from neural.resumable import train_resumably
from neural.store.array_cache import CorruptCacheWarning
from neural.store.checkpoints import Checkpoints, DivergedError

ROWS = {"data": torch.tensor([4, 2])}


class Training:
    """A line fitted to noise; with `scaled`, gradients that overflow until the scaler has backed off."""

    def __init__(self, path, what=None, *, width=3, scaled=False):
        self.model = nn.Linear(width, 1)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.fill_(0.5)
        self.scaler = torch.amp.GradScaler("cpu", enabled=scaled, init_scale=2.0**127, growth_interval=2)
        self.rows = RowStream(7, torch_generator(0, "rows"))
        self.noise = torch_generator(0, "noise")
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=0.1)
        self.losses = []
        self.keep = Checkpoints(
            path, what or {}, self.model, self.optimiser, self.scaler, {"data": self.rows}, self.noise
        )

    def run(self, steps):
        for _ in range(steps):
            x = self.rows.take(4)[:, None] + torch.randn(4, self.model.in_features, generator=self.noise)
            loss = self.model(x).square().mean()
            self.optimiser.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.losses.append(loss.item())
        return self

    def save(self):
        self.keep.save(len(self.losses), {"z": self.losses, "a": [math.nan]}, ROWS)
        return self

    def weights(self):
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "c.safetensors"
    Training(path).run(5).save()
    return path.read_bytes()


@pytest.mark.parametrize("scaled", [False, True])
def test_what_is_restored_goes_on_as_if_never_stopped(tmp_path, scaled):
    path = tmp_path / "c.safetensors"
    first = Training(path, scaled=scaled).run(5).save()
    again = Training(path, scaled=scaled)
    step, curves = again.keep.restore()
    assert (step, again.keep.saved, list(curves)) == (5, 5, ["z", "a"])
    assert curves["z"].tolist() == first.losses
    assert curves["a"].isnan().all()
    assert again.scaler.state_dict() == first.scaler.state_dict()
    if scaled:
        assert first.scaler.get_scale() < 2.0**127, "else the scaler would show nothing"
    assert torch.equal(again.run(6).weights(), first.run(6).weights())
    assert again.losses == first.losses[5:]


def test_nothing_is_kept_without_a_path_and_nothing_found_without_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training = Training(None).run(1).save()
    assert (training.keep.restore(), training.keep.saved) == ((0, {}), 0)
    assert Training(tmp_path / "c").keep.restore() == (0, {})
    assert not list(tmp_path.iterdir())


def refuse(path, content, reason):
    """Restore from this content: it is kept aside, and the training is as at its start."""
    path.write_bytes(content)
    training = Training(path)
    text = rf"{path.name}: this checkpoint cannot be used \({reason}.*kept as c.corrupt-\d+.safetensors"
    with pytest.warns(CorruptCacheWarning, match=text):
        assert training.keep.restore() == (0, {})
    assert not path.exists()
    assert content in [aside.read_bytes() for aside in path.parent.glob("c.corrupt-*")]
    assert torch.equal(training.run(2).weights(), Training(None).run(2).weights())


@given(data=st.data())
@settings(max_examples=40)
def test_any_changed_byte_is_noticed(written, tmp_path_factory, data):
    place = data.draw(st.integers(0, len(written) - 1))
    changed = bytearray(written)
    changed[place] ^= 1
    refuse(tmp_path_factory.mktemp("changed") / "c.safetensors", bytes(changed), "")


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_part_of_a_file_is_kept_aside(written, tmp_path, length):
    refuse(tmp_path / "c.safetensors", written[:length], "Error while deserializing")


@pytest.mark.parametrize("metadata", [None, {"what": "0123456789abcdef", "log": "{}"}])
def test_a_file_of_another_format_is_kept_aside(tmp_path, metadata):
    content = save({"model weight": torch.zeros(1, 3)}, metadata=metadata)
    refuse(tmp_path / "c.safetensors", content, "its format is not 'training 1'")


def test_a_file_of_another_training_is_refused_and_stays(tmp_path):
    path = tmp_path / "c.safetensors"
    what = {"seed": 1, "schedule": {"rate": 0.1, "clip": (1.0, 2.0)}}
    Training(path, what).run(1).save()
    content = path.read_bytes()
    assert Training(path, what).keep.restore()[0] == 1
    for other, width, different in [
        ({"seed": 2, "schedule": {"rate": 0.2, "clip": (1.0, 2.0)}}, 3, "schedule.rate, seed"),
        ({"seed": 1, "schedule": None}, 3, "schedule"),
        ({**what, "arm": "new"}, 3, "arm"),
        (what, 4, "parameters"),
    ]:
        training = Training(path, other, width=width)
        with pytest.raises(
            ValueError, match=rf"c.safetensors: .* another training \(different: {different}\)"
        ):
            training.keep.restore()
        assert path.read_bytes() == content


@pytest.mark.parametrize("good", [0, 3])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, good):
    path = tmp_path / "c.safetensors"
    training = Training(path)
    if good:
        training.run(good).save()
    content = path.read_bytes() if good else None
    training.run(1)
    with torch.no_grad():
        training.model.bias.fill_(math.inf)
    last = rf"{path} \(after 3 steps\)" if good else "none"
    why = rf"step {good}: a weight is not finite after the update; last good checkpoint: {last}\. "
    with pytest.raises(DivergedError, match=why + ".* batch of rows: 'data' rows 4, 2") as caught:
        training.save()
    error = caught.value
    assert (error.step, error.rows, error.checkpoint) == (good, {"data": [4, 2]}, path if good else None)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), vars(copied)) == (str(error), vars(error))
    assert (path.read_bytes() if path.exists() else None) == content


def test_a_gradient_that_is_not_finite_ends_the_training_before_the_step(tmp_path):
    path = tmp_path / "c.safetensors"
    saved = Training(path).run(2).save().weights()
    training = Training(path)

    def gradient(step, rows):
        loss = (0 * training.model(torch.ones(1, 3))).sqrt().sum()  # 0, with a slope of 0 times infinity
        loss.backward()
        return {"z": loss.item()}

    with pytest.raises(DivergedError, match=r"step 2: the gradient is not finite; .* \(after 2 steps\)"):
        train_resumably(
            training.keep,
            4,
            batch=lambda step: {"data": 2},
            gradient=gradient,
            rate=lambda step: 0.1,
            clip=None,
            save_every=1,
        )
    assert torch.equal(training.weights(), saved)


@given(n=st.integers(1, 9), count=st.integers(0, 40))
def test_a_stream_that_skips_goes_on_like_one_that_took(n, count):
    took, skipped = (RowStream(n, torch_generator(1, "rows")) for _ in range(2))
    took.take(count)
    skipped.skip(count)
    assert took.taken == skipped.taken == count
    assert torch.equal(took.take(20), skipped.take(20))
