"""Training on unpaired sequences: the plain loop, resuming, accumulation, curriculum, stops, and the probe."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression

from fisherkit.checks import UnknownNameError
from neural.minibatches import RowStream, torch_generator
from neural.sequences.data import SequenceSet
from neural.sequences.model import SharedTransformer, TransformerSettings, embeddings
from neural.sequences.probe import fit_probe
from neural.sequences.training import Curriculum, TrainSettings, train
from neural.store.checkpoints import DivergedError

SHAPE = TransformerSettings(width=8, layers=1, heads=2, feedforward=16, dropout=0.0, norm_first=True)
BOTH = TrainSettings(12, {"image": 4, "text": 6}, learning_rate=1e-2, checkpoint_every=5)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return {
        "image": SequenceSet(rng.normal(size=(11, 5, 3)), rng.integers(2, 6, 11)),
        "text": SequenceSet(rng.integers(0, 7, (13, 6)), rng.integers(1, 7, 13), 7),
    }


def fresh(data, shape=SHAPE, seed=0):
    return SharedTransformer({name: part.modality for name, part in data.items()}, shape, seed=seed)


def trained(data, settings, shape=SHAPE, **options):
    model = fresh(data, shape)
    history = train(model, data, settings, target="image", seed=3, **options)
    return model, history


def weights(model):
    return torch.cat([p.detach().cpu().flatten() for p in model.parameters()])


def effective(model):
    """Weights without the keys' bias: attention does not depend on it, its gradient is rounding, and Adam enlarges it."""
    state = {name: p.detach().clone() for name, p in model.named_parameters()}
    width = model.settings.width
    for name, tensor in state.items():
        if name.endswith("queries_keys_values.bias"):
            tensor[width : 2 * width] = 0
    return state


def assert_close(one, other, **tolerance):
    for name, tensor in effective(one).items():
        torch.testing.assert_close(tensor, effective(other)[name], **tolerance)


def note(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["note"])


# ---------------------------------------------------------------- the loop


def test_training_is_adam_on_the_weighted_sum_of_mean_losses(data):
    how = replace(BOTH, loss_weights={"text": 0.3}, clip=None, warmup=3)
    model, history = trained(data, how)
    mine = fresh(data)
    optimiser = torch.optim.Adam(mine.parameters())
    rows = {name: RowStream(len(data[name]), torch_generator(3, f"rows of {name}")) for name in data}
    for step in range(how.steps):
        loss = 0
        for name, size in how.batch_sizes.items():
            batch = data[name].batch(rows[name].take(size))
            out = mine.decoders[f"to_{name}"](mine.outputs(name, batch))[:, :-1]
            counted, wanted = batch.mask[:, 1:], batch.values[:, 1:]
            if name == "text":
                error = torch.nn.functional.cross_entropy(out[counted], wanted[counted])
            else:
                error = (out - wanted)[counted].square().mean()
            assert history.losses[name][step] == pytest.approx(error.item(), rel=2e-4)
            loss = loss + how.loss_weights.get(name, 1.0) * error
        optimiser.param_groups[0]["lr"] = 1e-2 * min(1, (step + 1) / 3)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert_close(model, mine, atol=2e-4, rtol=1e-3)


def test_a_weight_of_zero_leaves_the_unimodal_training(data):
    alone = {"image": data["image"]}
    how = replace(BOTH, batch_sizes={"image": 4})
    unimodal, history = trained(alone, how)
    model, other = trained(data, replace(BOTH, loss_weights={"text": 0.0}))
    np.testing.assert_allclose(other.losses["image"], history.losses["image"], rtol=1e-5)
    assert_close(unimodal, model, atol=1e-5, rtol=1e-4)


def test_a_step_of_the_auxiliary_moves_the_trunk_and_not_the_targets_ends(data):
    how = replace(BOTH, steps=1, curriculum=Curriculum(("text",), 1))
    model, _ = trained(data, how)
    before = fresh(data).state_dict()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {n for n in moved if n.startswith("layers.")}
    assert not {n for n in moved if n.endswith("_image.weight")}
    assert "decoders.to_text.weight" in moved


@pytest.mark.parametrize("first", ["image", "text"])
def test_curriculum_says_who_is_first_and_for_how_long(data, first):
    # 11 images, 4 a step: an epoch is three steps
    _, history = trained(data, replace(BOTH, curriculum=Curriculum((first,), 2)))
    other = {"image": "text", "text": "image"}[first]
    assert np.isfinite(history.losses[first]).all()
    assert np.isnan(history.losses[other][:6]).all()
    assert np.isfinite(history.losses[other][6:]).all()


@given(st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=8)
def test_batch_ratio_is_the_ratio_of_rows_taken(tmp_path_factory, image, text):
    rng = np.random.default_rng(0)
    data = {
        "image": SequenceSet(rng.normal(size=(5, 3, 2)), np.full(5, 3)),
        "text": SequenceSet(rng.integers(0, 4, (6, 3)), np.full(6, 3), 4),
    }
    path = tmp_path_factory.mktemp("ratio") / "c.safetensors"
    trained(data, TrainSettings(2, {"image": image, "text": text}), checkpoint=path)
    assert note(path)["taken"] == {"image": 2 * image, "text": 2 * text}


def test_three_modalities_by_name(data):
    rng = np.random.default_rng(1)
    three = {**data, "row": SequenceSet(rng.normal(size=(9, 1, 4)), np.ones(9, dtype=int))}
    how = TrainSettings(60, {"image": 4, "text": 4, "row": 4}, learning_rate=1e-2)
    model, history = trained(three, how)
    for name, losses in history.losses.items():
        assert losses[-10:].mean() < losses[:5].mean(), name
    assert embeddings(model, "row", three["row"]).shape == (9, 8)


def test_trains_on_the_chosen_device(data, device):
    model = fresh(data).to(device)
    history = train(model, data, replace(BOTH, steps=40), target="image", seed=0)
    assert history.losses["image"][-5:].mean() < history.losses["image"][:5].mean()
    assert np.isfinite(embeddings(model, "image", data["image"])).all()


# ---------------------------------------------------------------- accumulation, resuming


@given(st.integers(1, 7))
@settings(max_examples=7)
def test_accumulation_is_the_big_batch(data, micro):
    whole, history = trained(data, BOTH)
    parts, others = trained(data, replace(BOTH, micro_batch=micro))
    np.testing.assert_allclose(others.losses["text"], history.losses["text"], rtol=1e-4)
    assert_close(whole, parts, atol=2e-4, rtol=1e-3)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("killed_after", [3, 5, 8, 10])
def test_killed_training_resumes_to_the_same_digits(data, tmp_path, killed_after):
    shape = replace(SHAPE, dropout=0.2)
    how = replace(BOTH, curriculum=Curriculum(("text",), 2), warmup=4)
    whole, history = trained(data, how, shape)
    done = []

    def progress(count):
        done.append(count)
        if len(done) == killed_after:
            raise Killed

    path = tmp_path / "c.safetensors"
    with pytest.raises(Killed):
        trained(data, how, shape, checkpoint=path, progress=progress)
    steps = []
    model, rest = trained(data, how, shape, checkpoint=path, progress=steps.append)
    assert rest.resumed_at == killed_after // 5 * 5
    assert sum(steps) == how.steps
    assert torch.equal(weights(model), weights(whole))
    for name in data:
        np.testing.assert_array_equal(rest.losses[name], history.losses[name])


def test_more_steps_go_on_from_where_a_training_ended(data, tmp_path):
    path = tmp_path / "c.safetensors"
    trained(data, BOTH, checkpoint=path)
    model, history = trained(data, replace(BOTH, steps=20, checkpoint_every=7), checkpoint=path)
    assert history.resumed_at == 12
    assert torch.equal(weights(model), weights(trained(data, replace(BOTH, steps=20))[0]))
    again, done = trained(data, replace(BOTH, steps=20), checkpoint=path)
    assert done.resumed_at == 20
    assert torch.equal(weights(again), weights(model))


def test_checkpoint_of_another_training_is_refused(data, tmp_path):
    path = tmp_path / "c.safetensors"
    trained(data, BOTH, checkpoint=path)
    with pytest.raises(ValueError, match=r"of another training \(different: settings.learning_rate\)"):
        trained(data, replace(BOTH, learning_rate=1e-3), checkpoint=path)
    with pytest.raises(ValueError, match=r"\(different: model.settings.dropout\)"):
        trained(data, BOTH, replace(SHAPE, dropout=0.1), checkpoint=path)
    fewer = {**data, "image": data["image"].take(range(10))}
    with pytest.raises(ValueError, match=r"\(different: data.image\)"):
        trained(fewer, BOTH, checkpoint=path)


# ---------------------------------------------------------------- stops


def test_nan_stops_with_step_rows_and_last_good_checkpoint(data, tmp_path):
    values = data["image"].values.copy()
    values[10, 1] = 1e30  # finite, but its square is not
    poisoned = {**data, "image": SequenceSet(values, data["image"].lengths)}
    stream = RowStream(11, torch_generator(3, "rows of image"))
    rows = [stream.take(4).tolist() for _ in range(12)]
    first = next(step for step, numbers in enumerate(rows) if 10 in numbers)
    path = tmp_path / "c.safetensors"
    how = replace(BOTH, checkpoint_every=1)
    model = fresh(poisoned)
    with pytest.raises(DivergedError) as caught:
        train(model, poisoned, how, target="image", seed=3, checkpoint=path)
    error = caught.value
    assert error.step == first
    assert error.rows["image"] == rows[first]
    text = str(error)
    assert f"step {first}: the loss of 'image' is nan" in text
    assert ", ".join(map(str, rows[first])) in text
    if first:
        assert f"last good checkpoint: {path} (after {first} steps)" in text
        assert error.checkpoint == path
        assert note(path)["step"] == first
    else:
        assert "last good checkpoint: none" in text
    assert torch.isfinite(weights(model)).all(), "the weights are those before the step"
    with pytest.raises(DivergedError, match="last good checkpoint: none"):
        trained(poisoned, how)


def test_settings_are_checked(data):
    good = {"steps": 2, "batch_sizes": {"image": 2}}
    for changes, error, text in [
        ({"steps": 0}, ValueError, "steps must be a whole number >= 1"),
        ({"batch_sizes": {}}, ValueError, "at least one modality"),
        ({"batch_sizes": {"image": 0}}, ValueError, "image: batch size must be a whole number >= 1"),
        ({"loss_weights": {"text": 1.0}}, UnknownNameError, "unknown modality in loss_weights 'text'"),
        ({"loss_weights": {"image": -1.0}}, ValueError, "image: loss weight must be finite and >= 0"),
        ({"curriculum": Curriculum(("text",), 1)}, UnknownNameError, "unknown modality in curriculum 'text'"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate: must be positive"),
        ({"micro_batch": 0}, ValueError, "micro_batch must be"),
        ({"precision": "half"}, UnknownNameError, "unknown precision 'half'"),
    ]:
        with pytest.raises(error, match=text):
            TrainSettings(**{**good, **changes})
    with pytest.raises(ValueError, match="name at least one modality"):
        Curriculum((), 1)
    with pytest.raises(ValueError, match="epochs must be a whole number >= 1"):
        Curriculum(("image",), 0)
    with pytest.raises(ValueError, match="bfloat16 is for GPUs; on a CPU take float32 or auto"):
        trained(data, replace(BOTH, precision="bfloat16"))
    with pytest.raises(UnknownNameError, match="unknown modality 'image'"):
        trained({"text": data["text"]}, BOTH)
    with pytest.raises(UnknownNameError, match="unknown modality 'image'"):
        trained(data, TrainSettings(1, {"text": 2}))
    short = SequenceSet(np.zeros((3, 2, 3)), np.ones(3, dtype=int))
    with pytest.raises(ValueError, match="image: no sequence has a second step"):
        trained({**data, "image": short}, BOTH)


# ---------------------------------------------------------------- probe


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_probe_is_scaled_and_fitted_on_training_rows_and_chosen_on_validation_rows(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(5, 3, (60, 4)), np.arange(60) % 3
    x[:, 0] += 2 * y
    val, val_y = rng.normal(5, 3, (30, 4)), np.arange(30) % 3
    val[:, 0] += 2 * val_y
    strengths = (1e-3, 1e-1, 10.0)
    probe = fit_probe(x, y, val, val_y, strengths=strengths)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    accuracies = []
    for c in strengths:
        regression = LogisticRegression(C=c, max_iter=10_000).fit((x - mean) / scale, y)
        accuracies.append((regression.predict((val - mean) / scale) == val_y).mean())
    assert probe.val_accuracy == max(accuracies)
    assert accuracies[strengths.index(probe.strength)] == max(accuracies)
    test = rng.normal(5, 3, (20, 4))
    before = probe.pipeline.predict(test).copy()
    assert probe.accuracy(test, before) == 1.0
    assert probe.accuracy(test, (before + 1) % 3) == 0.0


def test_probe_of_labels_that_mean_nothing_is_at_chance():
    """200 rows, chance 1/2: an accuracy beyond 0.65 has probability below 1e-4."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 20)), rng.integers(0, 2, 400)
    probe = fit_probe(x[:100], y[:100], x[100:200], y[100:200])
    assert abs(probe.accuracy(x[200:], y[200:]) - 0.5) < 0.15


def test_probe_complains():
    x, y = np.ones((4, 2)), np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match="give at least one value of C"):
        fit_probe(x, y, x, y, strengths=())
    with pytest.raises(ValueError, match="validation embeddings are not finite"):
        fit_probe(x, y, x * np.nan, y)
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe = fit_probe(
            rng.normal(size=(20, 3)), np.arange(20) % 2, rng.normal(size=(9, 3)), np.arange(9) % 3
        )
    assert probe.val_accuracy <= 6 / 9, "classes that training lacks are errors"
