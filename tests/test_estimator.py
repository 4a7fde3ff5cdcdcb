"""The scikit-learn estimator: scikit-learn's own checks, the engine's digits, known optima, auxiliary rows, errors."""

import importlib.util
import pickle

import numpy as np
import pytest
import sklearn
import sklearn.utils.validation as sklearn_validation
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits, load_iris, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import neural.estimator
from fisherkit.checks import UnknownNameError
from neural.estimator import UnpairedClassifier
from neural.heads.model import class_mean_head
from neural.heads.runs import HeadRun, Schedule
from neural.heads.training import train_head
from neural.tasks.task import Embeddings
from neural.worlds.concepts import concepts

CLASSES, DIMS = 12, {"image": 20, "text": 6, "sound": 9}
BRIEF = {"max_iter": 60, "random_state": 0}


def rows(name, per_class, seed, noise=1.0):
    """Rows of a modality around class points that are one linear map (the modality's) of shared latents."""
    world = np.random.default_rng(5)
    latents = world.normal(size=(CLASSES, 4))
    maps = {modality: world.normal(size=(4, dim)) for modality, dim in DIMS.items()}
    labels = np.repeat(np.arange(CLASSES), per_class)
    scatter = np.random.default_rng([seed, DIMS[name]]).normal(size=(len(labels), DIMS[name]))
    return latents[labels] @ maps[name] + noise * scatter, labels


IMAGE = rows("image", 3, seed=0)
HELD_OUT = rows("image", 2, seed=1)
TEST = rows("image", 25, seed=2)
TEXT = rows("text", 10, seed=0, noise=0.3)
SOUND = rows("sound", 4, seed=0)


@parametrize_with_checks([UnpairedClassifier(max_iter=200)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ------------------------------------------------------------ the engine, and known optima


def scaled(data, by=None, constant=True):
    features = StandardScaler().fit((by or data)[0]).transform(data[0])
    return Embeddings(np.hstack([features, np.ones((len(features), int(constant)))]), data[1])


@pytest.mark.parametrize("validated", [False, True])
def test_digits_are_those_of_the_plain_training(validated):
    extra = {"X_val": HELD_OUT[0], "y_val": HELD_OUT[1]} if validated else {}
    model = UnpairedClassifier(max_iter=100, batch_size=16, loss_weight=0.7, random_state=3)
    model.fit(*IMAGE, aux={"text": TEXT, "sound": SOUND}, **extra)
    text = scaled(TEXT, constant=False)
    run = HeadRun(
        "direct",
        CLASSES,
        {"target": scaled(IMAGE), "auxiliary 1": scaled(TEXT), "auxiliary 2": scaled(SOUND)},
        scaled(HELD_OUT, by=IMAGE),
        {"target": 16, "auxiliary 1": 16, "auxiliary 2": 16},
        seed=model.seed_,
        learning_rate=0.01,
        weight_decay=0.01,
        head_dim=DIMS["text"] + 1,
        projected=("target", "auxiliary 2"),
        initial_head=np.pad(class_mean_head(text, CLASSES), ((0, 0), (0, 1))),
        loss_weights={"auxiliary 1": 0.7, "auxiliary 2": 0.7},
    )
    fit = train_head(run, Schedule(100, 5, 2, 10))
    if not validated:  # the last step is kept, however good the steps before were
        fit = train_head(run, Schedule(100, 5, 100, None, "last"))
        assert (model.n_iter_, model.best_iter_) == (100, 100)
        assert model.validation_score_ is None
    else:
        assert model.validation_score_ == fit.best[0] == pytest.approx(model.score(*HELD_OUT))
        np.testing.assert_array_equal(model.looks_, fit.looks)
        np.testing.assert_array_equal(model.loss_curve_, fit.val_loss)
        np.testing.assert_array_equal(model.score_curve_, fit.val_accuracy)
        assert (model.n_iter_, model.best_iter_) == (fit.looks[-1], fit.best_step)
    weights = {name: weight.numpy() for name, weight in fit.model.state_dict().items()}
    np.testing.assert_array_equal(model.head_, weights["head"])
    np.testing.assert_array_equal(model.projection_, weights["projections.from_target"])
    np.testing.assert_array_equal(
        model.auxiliary_projections_["sound"], weights["projections.from_auxiliary 2"]
    )
    logits = fit.logits(scaled(TEST, by=IMAGE)).numpy()
    np.testing.assert_allclose(model.decision_function(TEST[0]), logits, atol=1e-4)
    np.testing.assert_array_equal(model.predict(TEST[0]), logits.argmax(axis=1))


@pytest.mark.parametrize("classes", [2, 3])
def test_without_decay_it_finds_the_maximum_of_the_likelihood(classes):
    X, y = make_blobs([300, 120, 60][:classes], centers=None, n_features=3, cluster_std=5.0, random_state=1)
    exact = LogisticRegression(C=1e10, tol=1e-8, max_iter=5000).fit(X, y)
    options = {"weight_decay": 0.0, "batch_size": 1000, "learning_rate": 0.05, "random_state": 0}
    for model in (UnpairedClassifier(**options), UnpairedClassifier(projection=True, **options)):
        model.fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X), exact.predict_proba(X), atol=2e-3)
    assert exact.score(X, y) < 0.99  # else there is no maximum


@pytest.mark.parametrize("data", [load_iris, load_digits])
def test_defaults_do_as_well_as_logistic_regression(data):
    X, y = data(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
    exact = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(X, y)
    assert (
        UnpairedClassifier(random_state=0).fit(X, y).score(X_test, y_test)
        > exact.score(X_test, y_test) - 0.02
    )


@settings(max_examples=10)
@given(st.lists(st.floats(0.01, 100.0), min_size=20, max_size=20), st.floats(-50.0, 50.0))
def test_standardised_features_make_units_and_origins_irrelevant(factors, shift):
    model = UnpairedClassifier(max_iter=15, random_state=0)
    one = model.fit(*IMAGE, aux=TEXT).decision_function(TEST[0])
    other = clone(model).fit(IMAGE[0] * factors + shift, IMAGE[1], aux=(TEXT[0] * 3 - shift, TEXT[1]))
    np.testing.assert_allclose(other.decision_function(TEST[0] * factors + shift), one, atol=1e-3)


def test_coefficients_say_it_all():
    model = UnpairedClassifier(learn_scales=True, logit_scale=3.0, **BRIEF).fit(*IMAGE, aux=TEXT)
    scores = model.decision_function(TEST[0])
    np.testing.assert_allclose(TEST[0] @ model.coef_.T + model.intercept_, scores)
    whole = scaled(TEST, by=IMAGE).features @ (model.head_ @ model.projection_).T * model.scales_["target"]
    np.testing.assert_allclose(whole, scores, atol=1e-4)
    assert model.scales_["target"] != 3.0
    assert model.scales_["text" if "text" in model.scales_ else "auxiliary"] != 3.0
    np.testing.assert_allclose(model.predict_proba(TEST[0]).sum(axis=1), 1)


# ------------------------------------------------------------ auxiliary rows


def test_auxiliary_rows_help_beyond_the_matched_control_and_wrong_labels_do_not():
    scores = []
    for seed in range(6):
        task = concepts(seed=seed, n_classes=48, test_per_class=20)
        few, text = task.few_shot(2, seed).train, task.auxiliaries["text"]
        aided = UnpairedClassifier(max_iter=300, random_state=seed)
        matched = clone(aided).set_params(projection=True, head_dim=text.dim)
        aux = (text.features, text.labels), (text.features, (text.labels + 1) % 48)
        models = [matched.fit(few.features, few.labels)]
        models += [clone(aided).fit(few.features, few.labels, aux=pair) for pair in aux]
        scores.append([
            model.score(task.tests["test"].features, task.tests["test"].labels) for model in models
        ])
    matched, aided, misled = np.array(scores).T
    # Six of six: by chance 1/64 if the sign of every difference were a coin's; the mean gain is 0.16.
    assert (aided > matched).all()
    assert (aided - matched).mean() > 0.1
    assert (misled - matched).mean() < 0


def test_names_of_modalities_and_kinds_of_labels_do_not_matter():
    words = np.array([f"class {i:02d}" for i in range(CLASSES)])
    base = UnpairedClassifier(**BRIEF).fit(*IMAGE, aux=TEXT)
    named = UnpairedClassifier(**BRIEF).fit(*IMAGE, aux={"values.of a module": TEXT})
    worded = UnpairedClassifier(**BRIEF).fit(
        IMAGE[0], words[IMAGE[1]], aux=(TEXT[0], words[TEXT[1]].tolist())
    )
    for other in (named, worded):
        np.testing.assert_array_equal(base.coef_, other.coef_)
    assert list(named.scalers_) == ["target", "values.of a module"]
    np.testing.assert_array_equal(worded.predict(TEST[0]), words[base.predict(TEST[0])])


def test_unheard_auxiliary_rows_leave_the_matched_control():
    deaf = UnpairedClassifier(loss_weight=0.0, init="random", **BRIEF).fit(*IMAGE, aux=TEXT)
    matched = UnpairedClassifier(projection=True, head_dim=DIMS["text"], **BRIEF).fit(*IMAGE)
    np.testing.assert_allclose(deaf.head_, matched.head_, atol=1e-6)
    np.testing.assert_allclose(deaf.projection_, matched.projection_, atol=1e-6)
    heard = UnpairedClassifier(loss_weight=1.0, init="random", **BRIEF).fit(*IMAGE, aux=TEXT)
    assert np.abs(heard.head_ - matched.head_).max() > 0.01


@pytest.mark.parametrize(
    ("options", "aux", "projected", "head_dim"),
    [
        ({}, None, [], 20),
        ({"projection": True}, None, ["target"], 20),
        ({"projection": True, "head_dim": 5}, None, ["target"], 5),
        ({}, {"text": TEXT}, ["target"], 6),
        ({}, {"text": TEXT, "sound": SOUND}, ["target", "sound"], 6),
        ({}, {"sound": SOUND, "text": TEXT}, ["target", "text"], 9),
        ({}, {"image2": HELD_OUT}, ["target"], 20),
        ({"aligned": True}, {"image2": HELD_OUT}, [], 20),
        ({"projection": False}, {"image2": HELD_OUT, "image3": TEST}, [], 20),
    ],
)
@pytest.mark.parametrize("constant", [0, 1])
def test_what_is_projected_where(options, aux, projected, head_dim, constant):
    model = UnpairedClassifier(max_iter=2, fit_intercept=bool(constant), **options).fit(*IMAGE, aux=aux)
    assert model.head_.shape == (CLASSES, head_dim + constant)
    dims = {"target": IMAGE[0].shape[1]} | {name: pair[0].shape[1] for name, pair in (aux or {}).items()}
    expected = {name: (head_dim + constant, dims[name] + constant) for name in projected}
    found = model.auxiliary_projections_ | (
        {} if model.projection_ is None else {"target": model.projection_}
    )
    assert {name: weight.shape for name, weight in found.items()} == expected
    if not constant:
        np.testing.assert_allclose(
            model.intercept_, -model.coef_ @ model.scalers_["target"].mean_, atol=1e-12
        )


def test_the_head_starts_from_class_means_and_intercepts_from_zero():
    still = {"learning_rate": 1e-12, "weight_decay": 0.0, **BRIEF}
    head = UnpairedClassifier(**still).fit(*IMAGE, aux=TEXT).head_
    np.testing.assert_allclose(
        head[:, :-1], class_mean_head(scaled(TEXT, constant=False), CLASSES), atol=1e-6
    )
    np.testing.assert_allclose(head[:, -1], 0, atol=1e-9)
    raw = UnpairedClassifier(standardise=False, fit_intercept=False, **still).fit(*IMAGE, aux=TEXT)
    np.testing.assert_allclose(raw.head_, class_mean_head(Embeddings(*TEXT), CLASSES), atol=1e-6)
    assert raw.scalers_ == {}


def test_classes_without_auxiliary_rows_start_from_random_directions_with_a_warning():
    few = TEXT[1] >= 2
    still = UnpairedClassifier(learning_rate=1e-12, weight_decay=0.0, **BRIEF)
    with pytest.warns(UserWarning, match=r"aux 'auxiliary': no class mean for 0, 1 \(no rows"):
        head = still.fit(*IMAGE, aux=(TEXT[0][few], TEXT[1][few])).head_
    kept = class_mean_head(scaled((TEXT[0][few], TEXT[1][few] - 2), constant=False), CLASSES - 2)
    np.testing.assert_allclose(head[2:, :-1], kept, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(head[:2], axis=1), 1, rtol=1e-6)
    with pytest.warns(UserWarning, match="no class mean for 0, 1, 2, 3, 4, ..."):  # one row is its own mean
        UnpairedClassifier(**BRIEF).fit(*IMAGE, aux=(TEXT[0][:1], TEXT[1][:1]))
    silent = UnpairedClassifier(init="random", **BRIEF)
    assert silent.fit(*IMAGE, aux=(TEXT[0][few], TEXT[1][few])).score(*TEST) > 0


def test_extra_classes_can_be_ignored():
    half = IMAGE[1] < 6
    few, known = (IMAGE[0][half], IMAGE[1][half]), TEXT[1] < 6
    ignoring = UnpairedClassifier(extra_classes="ignore", **BRIEF).fit(*few, aux=TEXT)
    asked = UnpairedClassifier(**BRIEF).fit(*few, aux=(TEXT[0][known], TEXT[1][known]))
    np.testing.assert_array_equal(ignoring.coef_, asked.coef_)
    with pytest.raises(ValueError, match="aux 'auxiliary': no row has a label that is in y"):
        clone(ignoring).fit(*few, aux=(TEXT[0][~known], TEXT[1][~known]))


# ------------------------------------------------------------ intercepts


def test_intercepts_follow_class_frequencies():
    X, y = make_blobs([900, 60, 40], centers=[[0, 0], [2, 2], [2, -2]], random_state=0)
    X_test, y_test = make_blobs([900, 60, 40], centers=[[0, 0], [2, 2], [2, -2]], random_state=1)
    frequencies = np.bincount(y) / len(y)
    exact = LogisticRegression().fit(X, y).score(X_test, y_test)
    model = UnpairedClassifier(weight_decay=0.0, batch_size=1000, learning_rate=0.05, random_state=0).fit(
        X, y
    )
    assert model.score(X_test, y_test) > exact - 0.01 > 0.9
    # At the maximum of the likelihood mean probabilities are frequencies; without intercepts they cannot be.
    np.testing.assert_allclose(model.predict_proba(X).mean(axis=0), frequencies, atol=0.005)
    bare = clone(model).set_params(fit_intercept=False).fit(X, y)
    assert np.abs(bare.predict_proba(X).mean(axis=0) - frequencies).max() > 0.05
    # Balanced auxiliary rows: a projected target has an offset of its own, a shared intercept is pulled.
    aux = make_blobs([100, 100, 100], centers=[[0, 0], [2, 2], [2, -2]], random_state=2)
    projected = clone(model).fit(X, y, aux=aux)
    assert projected.score(X_test, y_test) > exact - 0.01
    np.testing.assert_allclose(projected.predict_proba(X).mean(axis=0), frequencies, atol=0.02)
    shared = clone(model).set_params(aligned=True).fit(X, y, aux=aux)
    assert shared.predict_proba(X).mean(axis=0)[0] < frequencies[0] - 0.02


# ------------------------------------------------------------ early stopping


def test_early_stopping_holds_a_stratified_part_out():
    X, y = make_blobs(400, centers=3, cluster_std=1.5, random_state=0)
    model = UnpairedClassifier(early_stopping=True, n_iter_no_change=3, random_state=1).fit(X, y)
    assert model.n_iter_ < model.max_iter == 1000
    assert model.looks_[-1] == model.n_iter_ == model.best_iter_ + 3 * 20
    assert len(model.looks_) == len(model.loss_curve_) == len(model.score_curve_)
    assert model.validation_score_ == model.score_curve_.max()
    assert (model.validation_score_ * 40) % 1 == pytest.approx(0, abs=1e-9)  # a tenth of 400 rows
    assert model.score(X, y) > 0.6
    patient = clone(model).set_params(n_iter_no_change=None).fit(X, y)
    assert patient.n_iter_ == 1000
    # Given rows take the place of a part of X, so that all of X is trained on.
    own = clone(model).fit(X, y, X_val=X[:50], y_val=y[:50])
    np.testing.assert_allclose(own.scalers_["target"].mean_, X.mean(axis=0))
    assert own.validation_score_ == own.score(X[:50], y[:50])


# ------------------------------------------------------------ randomness, copies, devices


def test_random_state_is_scikit_learns():
    def coef(state):
        return UnpairedClassifier(max_iter=5, random_state=state).fit(*IMAGE, aux=TEXT).coef_

    np.testing.assert_array_equal(coef(1), coef(1))
    np.testing.assert_array_equal(coef(1), coef(np.random.RandomState(1)))
    assert (coef(1) != coef(2)).any()
    assert (coef(None) != coef(None)).any()
    state = np.random.RandomState(1)
    assert (coef(state) != coef(state)).any()


def test_global_generators_are_neither_read_nor_moved():
    torch.manual_seed(1)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = UnpairedClassifier(early_stopping=True, **BRIEF).fit(*rows("image", 12, seed=0), aux=TEXT).coef_
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    torch.manual_seed(2)
    again = UnpairedClassifier(early_stopping=True, **BRIEF).fit(*rows("image", 12, seed=0), aux=TEXT).coef_
    np.testing.assert_array_equal(first, again)


def test_copies_need_no_torch():
    model = UnpairedClassifier(**BRIEF).fit(*IMAGE, aux={"text": TEXT, "sound": SOUND})
    saved = pickle.dumps(model)
    assert b"torch" not in saved
    np.testing.assert_array_equal(pickle.loads(saved).predict_proba(TEST[0]), model.predict_proba(TEST[0]))
    fresh = clone(model)
    assert not hasattr(fresh, "coef_")
    assert fresh.get_params() == model.get_params()


def test_device(device):
    model = UnpairedClassifier(device=device, **BRIEF).fit(*IMAGE, aux=TEXT)
    host = UnpairedClassifier(**BRIEF).fit(*IMAGE, aux=TEXT)
    np.testing.assert_allclose(model.decision_function(TEST[0]), host.decision_function(TEST[0]), atol=1e-3)
    assert isinstance(model.head_, np.ndarray)
    assert b"torch" not in pickle.dumps(model)


# ------------------------------------------------------------ inside scikit-learn's tools


@pytest.mark.parametrize("routing", [False, True])
def test_search_pipeline_and_cross_validation_pass_auxiliary_rows_on(routing):
    X, y = rows("image", 6, seed=0)
    folds = StratifiedKFold(3)
    with sklearn.config_context(enable_metadata_routing=routing):
        model = UnpairedClassifier(max_iter=100, random_state=0)
        prefix = "" if routing else "unpairedclassifier__"
        if routing:
            model.set_fit_request(aux=True)
        search = GridSearchCV(model, {"loss_weight": [0.0, 1.0]}, cv=folds).fit(X, y, aux=TEXT)
        pipeline = make_pipeline(StandardScaler(), model)
        piped = pipeline.fit(X, y, **{f"{prefix}aux": TEXT}).score(*TEST)
        grid = {"unpairedclassifier__loss_weight": [0.5]}
        both = GridSearchCV(pipeline, grid, cv=folds).fit(X, y, **{f"{prefix}aux": {"text": TEXT}})
        scores = cross_val_score(model, X, y, cv=folds, params={"aux": TEXT})
    direct = UnpairedClassifier(max_iter=100, random_state=0).fit(X, y, aux=TEXT)
    assert search.best_estimator_.head_.shape == (CLASSES, DIMS["text"] + 1)
    assert both.best_estimator_[-1].head_.shape == (CLASSES, DIMS["text"] + 1)
    assert piped == pytest.approx(direct.score(*TEST), abs=0.01)
    expected = [clone(direct).fit(X[a], y[a], aux=TEXT).score(X[b], y[b]) for a, b in folds.split(X, y)]
    np.testing.assert_allclose(scores, expected)


def test_older_scikit_learn_validates_by_a_method(monkeypatch):
    current = getattr(sklearn_validation, "validate_data", None)
    monkeypatch.delattr(sklearn_validation, "validate_data", raising=False)
    if current is not None:
        monkeypatch.setattr(
            BaseEstimator,
            "_validate_data",
            lambda self, X="no_validation", y="no_validation", reset=True, **checks: current(
                self, X, y, reset, **checks
            ),
            raising=False,
        )
    spec = importlib.util.spec_from_file_location("older", neural.estimator.__file__)
    older = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(older)
    assert older.validate_data.__module__ == "older"
    model = older.UnpairedClassifier(**BRIEF).fit(*IMAGE, aux=TEXT)
    np.testing.assert_array_equal(model.coef_, UnpairedClassifier(**BRIEF).fit(*IMAGE, aux=TEXT).coef_)
    with pytest.raises(ValueError, match="X has 6 features, but UnpairedClassifier is expecting 20 features"):
        model.predict(TEXT[0])


# ------------------------------------------------------------ errors


def with_nan(data):
    features = data[0].copy()
    features[3, 1] = np.nan
    return features, data[1]


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({}, {"X": with_nan(IMAGE)[0]}, "Input X contains NaN"),
        ({}, {"aux": with_nan(TEXT)}, r"aux 'auxiliary': features: NaN at index \(3, 1\)"),
        (
            {},
            {"aux": {"text": (TEXT[0][:, 0], TEXT[1])}},
            "aux 'text': features: expected 2 dimensions, got 1",
        ),
        ({}, {"aux": (TEXT[0], TEXT[1][1:])}, "aux 'auxiliary': 120 rows of features, but 119 labels"),
        ({}, {"aux": (TEXT[0], TEXT[1] + 2)}, "20 of 120 rows have labels that are not in y: 12, 13; drop"),
        (
            {},
            {"aux": (TEXT[0], TEXT[1].astype(str))},
            "120 of 120 rows .* '0', '1', '2', '3', '4', ...; drop",
        ),
        ({}, {"aux": {"target": TEXT}}, "aux: 'target' is the name of X; rename"),
        ({}, {"y": np.zeros(len(IMAGE[1]), int)}, "y has one class only, 0; two classes"),
        ({}, {"X_val": HELD_OUT[0]}, "X_val and y_val belong together"),
        ({}, {"X_val": HELD_OUT[0], "y_val": HELD_OUT[1] + 1}, "X_val, y_val: 2 of 24 rows .* not in y: 12;"),
        ({}, {"X_val": TEXT[0], "y_val": TEXT[1]}, "X has 6 features, but .* expecting 20"),
        (
            {"early_stopping": True},
            {},
            "test_size = 4 should be greater or equal to the number of classes = 12",
        ),
        ({"aligned": True}, {"aux": TEXT}, "aligned=True needs equal numbers of features, got .*: 20, .*: 6"),
        ({"projection": False}, {"aux": TEXT}, "projection=False needs equal numbers of features"),
        ({"projection": "always"}, {}, "unknown projection 'always'"),
        ({"head_dim": 7}, {"aux": TEXT}, "head_dim=7, but the head's space has 6; leave it out"),
        ({"head_dim": 7}, {}, "head_dim=7, but the head's space has 20"),
        ({"loss_weight": -1.0}, {}, "loss_weight must be finite and >= 0, got -1.0"),
        ({"weight_decay": np.nan}, {}, "weight_decay must be finite and >= 0, got nan"),
        ({"learning_rate": 0.0}, {}, "learning_rate must be finite and > 0, got 0.0"),
        ({"logit_scale": -2.0}, {}, "logit_scale must be finite and > 0"),
        ({"batch_size": 0}, {}, "batch_size must be a whole number >= 1, got 0"),
        ({"max_iter": None}, {}, "max_iter must be a whole number >= 1, got None"),
        ({"n_iter_no_change": 0}, {}, "n_iter_no_change must be a whole number >= 1"),
        ({"validation_fraction": 1.0}, {}, r"validation_fraction must lie in \(0, 1\), got 1.0"),
        ({"init": "auxilary"}, {}, "unknown init 'auxilary'; did you mean 'auxiliary'"),
        ({"extra_classes": "drop"}, {}, "unknown extra_classes 'drop'"),
        ({"device": "gpu"}, {}, "device 'gpu' is not there; use device='cpu'"),
        ({"device": "cuda:63"}, {}, "device 'cuda:63' is not there"),
        (
            {"learning_rate": 1e38},
            {},
            "training diverged: loss not finite after 60 steps; lower learning_rate",
        ),
    ],
)
def test_bad_input_is_named(options, arguments, message):
    model = UnpairedClassifier(**{**BRIEF, **options})
    with pytest.raises((ValueError, UnknownNameError), match=message):
        model.fit(**{"X": IMAGE[0], "y": IMAGE[1], **arguments})


@pytest.mark.parametrize("aux", [3, TEXT[0], (TEXT[0],), {"text": TEXT[0]}])
def test_auxiliary_rows_come_in_pairs(aux):
    with pytest.raises(TypeError, match=r"aux: expected \(X, y\) or \{name: \(X, y\)\}, got"):
        UnpairedClassifier(**BRIEF).fit(*IMAGE, aux=aux)


def test_one_row_per_class_is_no_reason_to_warn():
    X, y = np.eye(30), np.arange(30)
    assert UnpairedClassifier(random_state=0).fit(X, y).n_iter_ == 1000
