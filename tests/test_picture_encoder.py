"""The picture encoder: its shape, its folded normalisations, its pretraining."""

import numpy as np
import pytest
import torch

from neural.embed.picture_encoder import FEATURES, PictureEncoder, _Pretraining, encode, pretrain
from tests.comparators import assert_allclose_report


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def bars(seed):
    """Endless batches of two classes that a glance tells apart: upright and lying bars, with noise."""
    rng = np.random.default_rng(seed)

    def draw():
        labels = rng.integers(2, size=16)
        pictures = 0.1 * rng.random((16, 32, 32), dtype=np.float32)
        for picture, label, place in zip(pictures, labels, rng.integers(8, 24, size=16), strict=True):
            (picture if label else picture.T)[place : place + 3, 6:26] += 0.8
        return torch.from_numpy(pictures), torch.from_numpy(labels)

    return draw


def test_weights_are_a_function_of_the_seed_and_leave_the_global_state_alone():
    state = torch.get_rng_state()
    first, again, other = PictureEncoder(1), PictureEncoder(1), PictureEncoder(2)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(first.project.weight, other.project.weight)


def test_one_picture_has_the_features_it_has_among_others_in_training_and_evaluation():
    pictures = torch.rand(6, 32, 32, generator=torch.Generator().manual_seed(0))
    encoder = PictureEncoder().train()
    together = encoder(pictures)
    assert together.shape == (6, FEATURES)
    assert_allclose_report(encoder(pictures[2:3]).detach(), together[2:3].detach(), rtol=1e-4, atol=1e-5)
    assert torch.equal(encoder.eval()(pictures[:, None]), together)
    together.square().mean().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize("shape", [(3, 28, 28), (3, 3, 32, 32), (32, 32)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"pictures: expected shape \(n, 32, 32\) or \(n, 1, 32, 32\), got \("
    ):
        PictureEncoder()(torch.zeros(shape))


def test_encode_does_not_depend_on_its_batches():
    pictures = np.random.default_rng(0).integers(0, 256, size=(9, 32, 32), dtype=np.uint8)
    encoder = PictureEncoder()
    assert_allclose_report(
        encode(encoder, pictures, batch=4), encode(encoder, pictures), rtol=1e-4, atol=1e-5
    )


def test_folding_changes_nothing():
    network = _Pretraining(PictureEncoder(3), 2, seed=3)
    draw = bars(0)
    for _ in range(5):
        network(draw()[0])  # running statistics move away from 0 and 1
    network.eval()
    pictures = draw()[0]
    with torch.no_grad():
        encoder = network.encoder
        want = network.last_norm(encoder.project(encoder.last_grid(pictures, list(network.norms))))
        assert not torch.allclose(want, encoder(pictures), atol=0.1)
        assert_allclose_report(network.folded()(pictures), want, rtol=1e-4, atol=1e-5)


def test_pretraining_separates_classes_and_normalises_features(one_thread):
    steps = []
    encoder = pretrain(bars(1), 2, steps=40, seed=0, progress=steps.append)
    assert steps == [1] * 40
    pictures, labels = map(torch.cat, zip(*[bars(seed)() for seed in range(2, 12)], strict=True))
    features = encoder(pictures).detach()
    assert 0.7 < features.square().sum(1).mean() / FEATURES < 1.4
    means = torch.stack([features[labels == label].mean(0) for label in (0, 1)])
    assert (torch.cdist(features, means).argmin(1) == labels).all()


def test_pretraining_repeats_on_one_thread(one_thread):
    first, again, other = (pretrain(bars(1), 2, steps=3, seed=seed) for seed in (0, 0, 1))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(first.project.weight, other.project.weight)


def test_a_loss_that_is_not_finite_is_named():
    bad = (torch.full((4, 32, 32), torch.nan), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(FloatingPointError, match="the loss is nan at step 0; check the pictures"):
        pretrain(lambda: bad, 2, steps=1, seed=0)
    with pytest.raises(ValueError, match="steps must be a whole number >= 1, got 0"):
        pretrain(bars(0), 2, steps=0, seed=0)
