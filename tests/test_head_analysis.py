"""Margins, separation and gradient alignment of trained heads, against slow definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import davies_bouldin_score, silhouette_score

from neural.heads.analysis import class_separation, functional_margins, gradient_alignment
from neural.heads.model import HeadLayout, SharedHead
from neural.tasks.task import Embeddings

LAYOUT = HeadLayout((("image", 5), ("text", 3)), 4, 3, ("image",), learn_scales=True, logit_scale=7.0)


def rows(seed, n, dim, classes=4):
    rng = np.random.default_rng(seed)
    return Embeddings(rng.normal(size=(n, dim)), np.arange(n) % classes)


@given(st.integers(0, 10_000))
def test_margin_is_the_distance_to_the_nearest_wrong_boundary_of_the_strongest_rival(seed):
    model, data = SharedHead(LAYOUT, seed=seed), rows(seed, 12, 5)
    head = model.head.detach().double().numpy()
    z = data.features.astype(float) @ model.projection("image").detach().double().numpy().T
    margins = functional_margins(model, data)
    for i, label in enumerate(data.labels):
        logits = head @ z[i]
        rival = max((c for c in range(4) if c != label), key=lambda c: logits[c])
        w = head[label] - head[rival]
        assert margins[i] == pytest.approx(w @ z[i] / np.linalg.norm(w), rel=1e-4, abs=1e-6)
    right = model({"image": torch.as_tensor(data.features)})["image"].argmax(dim=1).numpy() == data.labels
    np.testing.assert_array_equal(margins > 0, right)


@given(st.integers(0, 10_000))
def test_alignment_is_the_cosine_of_autograds_gradients(seed):
    model = SharedHead(LAYOUT, seed=seed)
    data = {"image": rows(seed, 9, 5), "text": rows(seed + 1, 7, 3)}
    gradients = []
    for name, part in data.items():
        model.zero_grad()
        logits = model({name: torch.as_tensor(part.features)})[name]
        torch.nn.functional.cross_entropy(logits, torch.as_tensor(part.labels)).backward()
        gradients.append(model.head.grad.numpy().ravel().astype(float))
    a, b = gradients
    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
    assert gradient_alignment(model, data) == {"image, text": pytest.approx(cosine, abs=1e-5)}
    same = gradient_alignment(model, {"text": data["text"], "image": data["image"]})
    assert same["text, image"] == pytest.approx(cosine, abs=1e-5)


def test_alignment_of_tiny_gradients_is_still_a_cosine():
    model = SharedHead(HeadLayout((("image", 3), ("text", 3)), 4, 3), seed=0)
    data = rows(0, 8, 3)
    with torch.no_grad():
        centres = torch.as_tensor(np.stack([data.features[data.labels == c].mean(axis=0) for c in range(4)]))
        model.head.copy_(300 * centres)
    assert gradient_alignment(model, {"image": data, "text": data})["image, text"] == pytest.approx(
        1, abs=1e-9
    )


def test_alignment_needs_two_modalities():
    with pytest.raises(ValueError, match="gradient alignment is between modalities; got image"):
        gradient_alignment(SharedHead(LAYOUT, seed=0), {"image": rows(0, 4, 5)})


def test_separation_is_scikit_learns_on_a_seeded_choice():
    data = rows(0, 60, 3)
    points = data.features + 3 * np.eye(4)[data.labels][:, :3]
    whole = class_separation(points, data.labels)
    assert whole["silhouette"] == pytest.approx(silhouette_score(points, data.labels), rel=1e-6)
    assert whole["davies_bouldin"] == pytest.approx(davies_bouldin_score(points, data.labels), rel=1e-6)
    part = class_separation(points, data.labels, at_most=30, seed=1)
    assert part["davies_bouldin"] == whole["davies_bouldin"]
    assert part == class_separation(points, data.labels, at_most=30, seed=1)
    assert part["silhouette"] != whole["silhouette"]
