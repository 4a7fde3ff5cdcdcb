"""Shared heads: the model, the plain training, and the engine that trains many at once."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fisherkit.checks import UnknownNameError
from neural.heads import group, optimiser, sweep
from neural.heads.batched import BatchedHead
from neural.heads.capture import restore
from neural.heads.model import HeadLayout, SharedHead, class_mean_head, supervised_objective
from neural.heads.runs import HeadFit, HeadRun, Schedule
from neural.heads.sweep import heads_per_tensor, train_heads
from neural.heads.training import train_head
from neural.tasks.task import Embeddings

CLASSES, D_IMAGE, D_TEXT = 6, 5, 4
SHORT = Schedule(iterations=40, warmup=5, eval_every=10, patience=None)


def rows(seed, n, dim, name="image", classes=CLASSES):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    return Embeddings(centres[labels] + rng.normal(size=(n, dim)), labels, name)


IMAGE, TEXT, SOUND = rows(0, 18, D_IMAGE), rows(1, 30, D_TEXT, "text"), rows(2, 12, 3, "sound")
VAL = rows(3, 24, D_IMAGE)


def make(name="run", *, text=True, sound=False, init=False, **changes):
    train = {"image": IMAGE} | ({"text": TEXT} if text else {}) | ({"sound": SOUND} if sound else {})
    projected = ("image",) + (("sound",) if sound else ())
    sizes = {"image": 4, "text": 6, "sound": 2}
    settings = {
        "n_classes": CLASSES,
        "train": train,
        "val": VAL,
        "batch_sizes": {modality: sizes[modality] for modality in train},
        "seed": 0,
        "learning_rate": 0.02,
        "head_dim": D_TEXT,
        "projected": projected,
        "initial_head": class_mean_head(TEXT, CLASSES) if init else None,
    }
    return HeadRun(name, **{**settings, **changes})


VARIANTS = {
    "unimodal": make(text=False, projected=(), head_dim=None),
    "matched": make(text=False),
    "uml": make(),
    "uml init": make(init=True),
    "decay": make(weight_decay=0.3, learning_rate=0.05),
    "weights": make(loss_weights={"text": 0.3}),
    "scales": make(learn_scales=True, weight_decay=0.1),
    "logit scale": make(logit_scale=5.0, learn_scales=True),
    "three": make(sound=True, loss_weights={"sound": 2.0}),
    "other seed": make(seed=7),
    "larger batch than rows": make(batch_sizes={"image": 25, "text": 40}),
}


def same_fit(a, b, atol=2e-5):
    np.testing.assert_array_equal(a.looks, b.looks)
    np.testing.assert_allclose(a.val_loss, b.val_loss, atol=atol)
    np.testing.assert_allclose(a.val_accuracy, b.val_accuracy, atol=1e-12)
    assert a.best_step == b.best_step
    for name, weight in a.model.state_dict().items():
        torch.testing.assert_close(weight, b.model.state_dict()[name], atol=atol, rtol=1e-4)


def identical(a, b):
    assert a.best_step == b.best_step
    np.testing.assert_array_equal(a.val_loss, b.val_loss)
    for name, weight in a.model.state_dict().items():
        assert torch.equal(weight, b.model.state_dict()[name])


# ---------------------------------------------------------------- model


@given(
    st.integers(2, 5),
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
    st.floats(0.5, 3),
    st.integers(0, 10**6),
)
def test_written_out_gradient_is_autograds(classes, head_dim, project_text, scales, factor, seed):
    rng = torch.Generator().manual_seed(seed)
    dims = (("image", 3), ("text", 4 if project_text else head_dim))
    projected = ("image", "text") if project_text else ("image",)
    layout = HeadLayout(dims, classes, head_dim, projected, scales, factor)
    models = [SharedHead(layout, seed=s).double() for s in (seed, seed + 1)]
    for model in models:
        if model.scales is not None:
            model.scales.data.uniform_(0.5, 2, generator=rng)
    sizes = {"image": 3, "text": 5}
    weights = torch.rand(2, 2, generator=rng, dtype=torch.float64)
    heads = BatchedHead(models, sizes, weights)
    for name, _dim in dims:
        heads.rows[name].normal_(generator=rng)
        heads.labels[name].random_(0, classes, generator=rng)
    heads.gradient()
    for r, model in enumerate(models):
        batch = {name: heads.rows[name][r] for name, _ in dims}
        labels = {name: heads.labels[name][r] for name, _ in dims}
        loss_weights = {name: float(weights[r, k]) for k, (name, _) in enumerate(dims)}
        supervised_objective(model(batch), labels, loss_weights).backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(heads.grads[name][r], parameter.grad, atol=1e-12, rtol=1e-9)


def test_shared_weights_do_not_depend_on_the_other_modalities():
    alone, beside = make(text=False).initial_model(), make(sound=True).initial_model()
    assert torch.equal(alone.head, beside.head)
    assert torch.equal(alone.projection("image"), beside.projection("image"))


def test_class_means_make_the_head():
    head = class_mean_head(TEXT, CLASSES)
    for c in range(CLASSES):
        mean = TEXT.features[TEXT.labels == c].mean(axis=0)
        np.testing.assert_allclose(head[c], mean / np.linalg.norm(mean), rtol=1e-5)
    assert torch.equal(make(init=True).initial_model().head, torch.as_tensor(head))
    with pytest.raises(
        ValueError, match=r"text: the mean of class 6 is zero, so it gives the head no direction"
    ):
        class_mean_head(TEXT, CLASSES + 1)


def test_layout_refuses_what_does_not_fit():
    with pytest.raises(
        ValueError, match=r"text: 4 features, but the head takes 5; name 'text' in `projected`"
    ):
        HeadLayout((("image", 5), ("text", 4)), 3, 5)
    with pytest.raises(UnknownNameError, match="unknown projected modality 'imgae'; did you mean 'image'"):
        HeadLayout((("image", 5),), 3, 5, ("imgae",))
    with pytest.raises(ValueError, match="logit_scale must be positive and finite, got 0"):
        HeadLayout((("image", 5),), 3, 5, logit_scale=0)
    with pytest.raises(UnknownNameError, match="unknown modality 'sound'"):
        make().initial_model()({"sound": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match=r"initial_head: expected shape \(6, 4\), got \(6, 3\)"):
        make(initial_head=np.zeros((CLASSES, 3))).initial_model()


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {}}, "no modality given"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"batch_sizes": {"image": 4}}, "no batch size for 'text'"),
        ({"batch_sizes": {"image": 4, "text": 0}}, "batch size of 'text' must be a whole number >= 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, got 0.0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0 and finite, got -1.0"),
        ({"loss_weights": {"text": float("nan")}}, "loss weight of 'text' must be at least 0 and finite"),
        ({"n_classes": 3}, "image: label 5, but there are 3 classes"),
        ({"val": TEXT}, "validation rows have 4 features, 'image' has 5"),
        ({"loss_weights": {"txet": 1.0}}, "unknown modality in run 'run': 'txet'; did you mean 'text'"),
        ({"target": "sound"}, "unknown modality in run 'run': 'sound'"),
    ],
)
def test_runs_say_what_is_wrong(changes, message):
    with pytest.raises((ValueError, UnknownNameError), match=message):
        make(**changes)


def test_schedule_is_the_published_one_without_its_dip():
    schedule = Schedule()
    assert (schedule.iterations, schedule.warmup, schedule.eval_every, schedule.patience) == (
        12_800,
        50,
        100,
        10,
    )
    for peak in (1e-3, 1e-4, 5e-6):
        rates = [schedule.rate(t, peak) for t in range(schedule.iterations)]
        assert rates[0] == min(1e-5, peak)
        assert max(rates) == pytest.approx(peak)
        assert all(a <= b for a, b in itertools.pairwise(rates[:51]))
        assert all(a >= b for a, b in itertools.pairwise(rates[50:]))
    assert Schedule(iterations=250, eval_every=100).looks == [0, 100, 200, 250]
    with pytest.raises(ValueError, match="schedule: eval_every must be a whole number >= 1, got 0"):
        Schedule(eval_every=0)
    with pytest.raises(ValueError, match=r"schedule: patience \(None for no early stop\)"):
        Schedule(patience=0)


# ---------------------------------------------------------------- reference and engine


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("steps", [1, 2, 40])
def test_engine_agrees_with_the_reference_step_by_step(variant, steps, device):
    run = VARIANTS[variant]
    schedule = Schedule(iterations=steps, warmup=5, eval_every=10, patience=None)
    (fit,) = train_heads([run], schedule, device=device)
    same_fit(fit, train_head(run, schedule))


def test_result_does_not_depend_on_company_but_for_rounding(device):
    runs = list(VARIANTS.values())
    runs += [make("a", learning_rate=0.1), make("b", learning_rate=0.001), make("c", seed=3, init=True)]
    together = train_heads(runs, SHORT, device=device, chunk=8)
    for run, fit in zip(runs, together, strict=True):
        (alone,) = train_heads([run], SHORT, device=device)
        same_fit(alone, fit)
    again = train_heads(runs, SHORT, device=device, chunk=8)
    for first, second in zip(together, again, strict=True):
        identical(first, second)


@given(st.data())
def test_odd_sizes_in_company_alone_and_by_the_reference(data):
    classes, dim, head_dim = (data.draw(st.integers(low, 40)) for low in (2, 1, 1))
    n, b = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 9))
    target = rows(0, max(n, 1), dim, classes=classes)
    text = rows(1, data.draw(st.integers(1, 30)), head_dim, "text", classes=classes)
    val = rows(2, data.draw(st.integers(1, 20)), dim, classes=classes)
    common = {
        "n_classes": classes,
        "val": val,
        "head_dim": head_dim,
        "train": {"image": target, "text": text},
        "batch_sizes": {"image": b, "text": 3},
        "initial_head": None,
    }
    runs = [make(f"{s}", seed=s, learning_rate=lr, **common) for s in range(2) for lr in (0.003, 0.02)]
    short = Schedule(iterations=8, warmup=2, eval_every=4, patience=None)
    for run, fit in zip(runs, train_heads(runs, short, chunk=3), strict=True):
        (alone,) = train_heads([run], short)
        for other in (alone, train_head(run, short)):
            np.testing.assert_allclose(fit.val_loss, other.val_loss, atol=1e-4, rtol=1e-4)
            np.testing.assert_allclose(fit.val_accuracy, other.val_accuracy, atol=1.5 / len(val))


def test_early_stop_of_one_leaves_the_others_alone(device):
    stops = Schedule(iterations=200, warmup=0, eval_every=10, patience=2)
    runs = [
        make(f"{lr} {seed}", learning_rate=lr, seed=seed) for lr in (1e-6, 0.003, 0.03) for seed in range(3)
    ]
    fits = train_heads(runs, stops, device=device, chunk=16)
    assert len({int(fit.looks[-1]) for fit in fits}) > 2, "the case is meant to have several stopping times"
    for run, fit in zip(runs, fits, strict=True):
        reference = train_head(run, stops)
        same_fit(fit, reference)
        after_best = (fit.looks > fit.best_step).sum()
        assert after_best == 2 or fit.looks[-1] == 200


def test_progress_reaches_the_whole_number_of_steps(device):
    stops = Schedule(iterations=100, warmup=0, eval_every=10, patience=2)
    runs = [make(f"{lr}", learning_rate=lr) for lr in (1e-6, 0.03, 0.1)]
    counted = []
    train_heads(runs, stops, device=device, progress=counted.append)
    assert sum(counted) == 300


def test_best_weights_are_those_of_the_best_look(device):
    run = make(learning_rate=0.1)
    (fit,) = train_heads([run], SHORT, device=device)
    assert fit.accuracy(VAL) == pytest.approx(fit.val_accuracy.max())
    assert fit.best_step == fit.looks[fit.val_accuracy.argmax()]
    assert fit.best[0] == fit.val_accuracy.max()


@given(st.lists(st.integers(0, CLASSES - 1), min_size=1, unique=True), st.integers(0, 1000))
def test_accuracy_among_some_classes(among, seed):
    """Against one row, one class at a time; an untrained head errs enough to tell."""
    run = make(seed=seed)
    fit = HeadFit("f", np.array([0]), np.array([0.0]), np.array([0.0]), 0, run.initial_model())
    right = 0
    for logits, label in zip(fit.logits(VAL).tolist(), VAL.labels.tolist(), strict=True):
        best = among[0]
        for number in among:
            if logits[number] > logits[best]:
                best = number
        right += best == label
    assert fit.accuracy(VAL, among) == right / len(VAL)
    assert fit.accuracy(VAL, range(CLASSES)) == fit.accuracy(VAL)


@pytest.mark.parametrize("among", [[], [0, CLASSES], [-1, 0]])
def test_classes_to_choose_from_must_be_the_heads(among):
    fit = HeadFit("f", np.array([0]), np.array([0.0]), np.array([0.0]), 0, make().initial_model())
    with pytest.raises(ValueError, match=r"among: classes must be some of 0 to 5, got \["):
        fit.accuracy(VAL, among)


def test_divergence_stops_one_run_and_keeps_its_best_weights(device):
    bad = make("bad", learning_rate=1e30)
    fits = train_heads([bad, make("good")], SHORT, device=device)
    assert fits[0].diverged_at == 10
    assert fits[0].best_step == 0
    assert all(torch.isfinite(weight).all() for weight in fits[0].model.state_dict().values())
    assert fits[1].diverged_at is None
    reference = train_head(bad, SHORT)
    assert (reference.diverged_at, reference.best_step) == (10, 0)


@given(st.permutations(range(30)), st.integers(0, 1000))
def test_only_the_law_of_auxiliary_rows_matters(order, seed):
    """Unpairedness: rows of text carry no position. Permuted text seen in the conjugate order gives the same head."""

    class Conjugate:
        def __init__(self, stream):
            self.stream, self.place = stream, torch.as_tensor(np.argsort(order))

        def take(self, count):
            return self.place[self.stream.take(count)]

    run = make(seed=seed)
    shuffled = make(seed=seed, train={"image": IMAGE, "text": TEXT.take(order)})
    stream = shuffled.row_stream
    object.__setattr__(
        shuffled, "row_stream", lambda name: Conjugate(stream(name)) if name == "text" else stream(name)
    )
    short = Schedule(iterations=6, warmup=0, eval_every=3)
    identical(train_head(run, short), train_head(shuffled, short))
    np.testing.assert_allclose(
        class_mean_head(TEXT.take(order), CLASSES), class_mean_head(TEXT, CLASSES), atol=1e-6
    )


def test_out_of_memory_halves_the_group(monkeypatch):
    runs = [make(f"{seed}", seed=seed) for seed in range(7)]
    whole = train_heads(runs, SHORT, chunk=7)
    real, sizes, counted = sweep.HeadGroup, [], []

    class Small(real):
        def train(self, *args, **options):
            sizes.append(len(self.runs))
            if len(self.runs) > 2:
                options["progress"](13)
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return super().train(*args, **options)

    monkeypatch.setattr(sweep, "HeadGroup", Small)
    fits = train_heads(runs, SHORT, chunk=7, progress=counted.append)
    assert sizes == [7, 3, 1, 2, 4, 2, 2]
    assert sum(counted) == 7 * SHORT.iterations
    for a, b in zip(whole, fits, strict=True):
        same_fit(a, b)


def test_other_errors_and_a_single_run_too_large_are_raised(monkeypatch):
    class Broken:
        def __init__(self, runs, device):
            raise RuntimeError(self.message)

    monkeypatch.setattr(sweep, "HeadGroup", Broken)
    Broken.message = "DefaultCPUAllocator: can't allocate memory"
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        train_heads([make(), make()], SHORT)
    Broken.message = "shape mismatch"
    with pytest.raises(RuntimeError, match="shape mismatch"):
        train_heads([make(), make()], SHORT)


@pytest.mark.parametrize(
    "message",
    ["CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "DefaultCPUAllocator: not enough memory: you tried"],
)
def test_messages_of_full_memory(message):
    assert sweep._out_of_memory(RuntimeError(message))
    masked = RuntimeError("capture failed")
    masked.__context__ = RuntimeError(message)
    assert sweep._out_of_memory(masked), "an error on leaving the capture hides the one inside"
    assert not sweep._out_of_memory(RuntimeError("size mismatch"))


def test_keep_last_and_looks():
    last = Schedule(iterations=30, warmup=0, eval_every=10, patience=None, keep="last")
    run = make(learning_rate=0.1)
    for fit in (train_head(run, last), *train_heads([run, make("b")], last)[:1]):
        assert fit.best_step == 30
    with pytest.raises(ValueError, match="keep='last' goes on to the last step; set patience=None"):
        Schedule(keep="last")
    with pytest.raises(UnknownNameError, match="schedule: keep: 'lats'; did you mean 'last'"):
        Schedule(keep="lats")
    rare = Schedule(iterations=3, eval_every=10**12, patience=None)
    assert train_heads([run], rare)[0].looks.tolist() == [0, 3], "buffers are as long as the longest block"


def test_modalities_may_be_called_like_methods_of_a_module():
    layout = HeadLayout((("values", 3), ("keys", 2)), 4, 2, ("values",))
    assert SharedHead(layout, seed=0)({"values": torch.zeros(1, 3)})["values"].shape == (1, 4)
    with pytest.raises(ValueError, match=r"modality 'a\.b': give it a name without a dot"):
        HeadLayout((("a.b", 3),), 4, 3)


# ---------------------------------------------------------------- what a captured step does, without a GPU


class Replayed:
    """`CapturedStep`'s part on a CPU: positions that only a tensor holds, state restored after trial steps."""

    def __init__(self, step, state, device):
        self.step, self.position = step, torch.zeros(1, dtype=torch.int64)
        before = [tensor.clone() for tensor in state()]
        for _ in range(3):
            step(self.position)
        restore(before, state())

    def run(self, steps):
        for position in range(steps):
            self.step(self.position.fill_(position))


@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_captured_steps_find_their_rows_and_rates(monkeypatch, chunk):
    monkeypatch.setattr(group, "CapturedStep", Replayed)
    real = optimiser.SegmentedAdamW._build

    def with_tensor_rates(self, *arguments):  # a CPU has no capturable kernel: rates alone are tensors
        self._capturable = False
        real(self, *arguments)
        for part in self._adam.param_groups:
            part["lr"] = torch.tensor(float(part["lr"]))

    monkeypatch.setattr(optimiser.SegmentedAdamW, "_build", with_tensor_rates)
    stops = Schedule(iterations=95, warmup=7, eval_every=10, patience=2)
    runs = [make(f"{lr} {s}", learning_rate=lr, seed=s) for lr in (1e-6, 0.003, 0.03) for s in range(3)]
    for first in range(0, len(runs), chunk):
        part = runs[first : first + chunk]
        made = group.HeadGroup(part, torch.device("cpu"))
        counted = []
        fits = made.train(stops, graph=True, progress=counted.append)
        assert sum(counted) == 95 * len(part)
        for run, fit in zip(part, fits, strict=True):
            same_fit(fit, train_head(run, stops))


def test_a_graph_needs_a_gpu():
    with pytest.raises(ValueError, match="graph: only a CUDA device captures graphs, not cpu"):
        train_heads([make()], SHORT, graph=True)


def test_chunk_is_checked_and_sized():
    with pytest.raises(ValueError, match="chunk: must be at least 1, got 0"):
        train_heads([make()], SHORT, chunk=0)
    assert heads_per_tensor("cuda") > heads_per_tensor("cpu") >= 1
    assert train_heads([], SHORT) == []


# ---------------------------------------------------------------- encoders


def encoder(seed, dropout=0.0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(D_IMAGE, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(dropout)
    )


def test_fine_tuning_trains_a_copy_of_the_encoder():
    given_encoder = encoder(0, dropout=0.5)
    before = copy.deepcopy(given_encoder.state_dict())
    run = make(encoders={"image": given_encoder}, batch_sizes={"image": 9, "text": 6}, learning_rate=0.05)
    assert run.layout.dims == (("image", 8), ("text", D_TEXT))
    (fit,) = train_heads([run], SHORT)
    for name, tensor in given_encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
    changed = fit.encoders["image"].state_dict()
    assert fit.best_step > 0
    assert not torch.equal(changed["0.weight"], before["0.weight"])
    assert not torch.equal(changed["1.running_mean"], before["1.running_mean"]), "train mode during training"
    assert not fit.encoders["image"].training
    assert fit.accuracy(VAL) == pytest.approx(fit.val_accuracy.max())
    assert fit.val_accuracy.max() > fit.val_accuracy[0]


def test_frozen_encoder_is_the_same_as_its_features():
    network = encoder(1).eval().requires_grad_(False)
    with torch.no_grad():
        features = {
            n: network(torch.as_tensor(r.features)).numpy() for n, r in {"t": IMAGE, "v": VAL}.items()
        }

    class Eval(torch.nn.Module):  # a frozen backbone stays in evaluation mode while the head trains
        def forward(self, x):
            return network(x)

    frozen = make(encoders={"image": Eval()})
    cached = make(
        train={"image": Embeddings(features["t"], IMAGE.labels), "text": TEXT},
        val=Embeddings(features["v"], VAL.labels),
    )
    same_fit(train_head(frozen, SHORT), train_head(cached, SHORT))


def test_encoder_of_an_auxiliary_and_errors():
    (fit,) = train_heads([make(encoders={"text": torch.nn.Linear(D_TEXT, D_TEXT)})], SHORT)
    assert set(fit.encoders) == {"text"}
    assert fit.logits(TEXT, "text").shape == (30, CLASSES)
    with pytest.raises(
        ValueError, match=r"encoder of 'image' must give \(n, d\) features, got shape \(1, 5, 1\)"
    ):
        make(encoders={"image": torch.nn.Unflatten(1, (D_IMAGE, 1))})
