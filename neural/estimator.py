"""A scikit-learn classifier of one modality's embeddings that also learns from labelled rows of other modalities.

The linear head of `neural.heads`, with the interface of scikit-learn: what it has learned is a linear classifier of the
target's features, ``X @ coef_.T + intercept_``, and needs neither auxiliary rows nor PyTorch to predict.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fisherkit.checks import UnknownNameError, as_array, as_whole
from fisherkit.streams import streams
from neural.heads.model import class_mean_head
from neural.heads.runs import HeadFit, HeadRun, Schedule
from neural.heads.training import train_head
from neural.tasks.task import Embeddings

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn 1.4 and 1.5 have a method for it

    def validate_data(estimator: Any, *arrays: Any, **options: Any) -> Any:  # noqa: ANN401
        return estimator._validate_data(*arrays, **options)


__all__ = ["UnpairedClassifier"]

Floats = NDArray[np.floating]
Rows = tuple[Floats, NDArray[np.int64]]
Auxiliary = tuple[ArrayLike, ArrayLike]

TARGET = "target"
_FLOATS = [np.float64, np.float32]
_OPTIONS: dict[str, tuple[object, ...]] = {"projection": ("auto", True, False)}
_OPTIONS |= {"init": ("auxiliary", "random"), "extra_classes": ("error", "ignore")}
_LOOKS = 50  # at the validation rows, in max_iter steps
_NO_DIRECTION = 1e-6  # class means shorter than this share of a typical row are rounding errors


class UnpairedClassifier(ClassifierMixin, BaseEstimator):
    """Linear classifier of embeddings, trained together with labelled rows of other modalities that belong to no row of X.

    Minimises the mean cross-entropy of X's rows plus `loss_weight` times that of each auxiliary modality's rows, with
    one head for all (the paper's section 3.2, Algorithm 2), by AdamW with warm-up and cosine decay. Where spaces
    differ, the head lives in the first auxiliary modality's space and every other modality is projected into it. The
    fair comparison for `fit(X, y, aux=aux)` has the same projection and no auxiliary rows: `projection=True` and
    `head_dim` the auxiliary's dimension, then `fit(X, y)`. It starts from the same projection and sees the same batches.

    Args:
        projection: whether X is projected into the head's space; "auto" if there are auxiliary rows, not `aligned`.
        aligned: whether all modalities live in one space, as CLIP's two towers do.
        head_dim: features of the head's space where X is projected without auxiliary rows; None for as many as X has.
        init: "auxiliary" starts the head from the first auxiliary modality's class means, normalised (a class without
            rows there: from a random direction, with a warning); "random", or no such modality: ``torch.nn.Linear``'s start.
        loss_weight: weight of each auxiliary modality's loss, >= 0. With 0 auxiliary rows are good for `init` only.
        extra_classes: "error" to refuse auxiliary rows of classes that are not in y, "ignore" to drop them.
        fit_intercept: whether every modality gets a constant feature after standardisation. A projected modality thereby
            has its own offset; unprojected ones share their intercepts, and so pull at each other's class frequencies.
        standardise: whether each modality's features are centred and scaled to variance one, by its training rows.
        learn_scales: whether each modality's logits have a learned factor.
        logit_scale: fixed factor of all logits, > 0.
        learning_rate: highest learning rate of AdamW, > 0.
        weight_decay: of AdamW, on every weight (intercepts, too), >= 0.
        batch_size: rows of each modality per step, >= 1; all of them if there are fewer.
        max_iter: optimiser steps, at most, >= 1. Few features or rare classes need large weights: more steps, or a higher rate.
        early_stopping: whether a stratified part of the rows is held out, evaluated 50 times, and the head with the highest
            accuracy on it kept; without it the head after the last step is.
        validation_fraction: that part, in (0, 1).
        n_iter_no_change: evaluations without a better accuracy before training stops, >= 1; None to go on to the end.
        device: PyTorch device to train on, "cpu", "cuda", ...; what is learned comes back to the CPU.
        random_state: int, RandomState instance or None, for initial weights, batches and the held-out part.

    Attributes:
        classes_: (C,) the labels of y, sorted.
        n_features_in_: d, number of features of X.
        feature_names_in_: (d,) names of the features, where X has names that are all strings.
        coef_: (C, d) weights, for features as in X; (1, d) for two classes, second minus first.
        intercept_: (C,), or (1,) for two classes.
        head_: (C, h) weights of the shared head; its last column belongs to the constant feature, if there is one.
        projection_: (h, d), or (h, d + 1) with the constant feature, from the target to the head's space; or None.
        auxiliary_projections_: {modality: the same for an auxiliary}, of those that are projected.
        scales_: {modality: factor of its logits}.
        scalers_: {modality: StandardScaler fitted to its training rows}; empty without `standardise`.
        seed_: whole number drawn from `random_state`, the seed of the training.
        n_iter_: steps made.
        best_iter_: steps after which the kept head was reached.
        validation_score_: accuracy of the kept head on the validation rows, or None without validation rows.
        looks_: (E,) evaluation steps.
        loss_curve_: (E,) mean cross-entropy of the validation rows, nats; without them, of all rows at the end.
        score_curve_: (E,) accuracy of the same rows.

    Example:
        64 simulated classes, two pictures and 32 sentences of each, no sentence of a picture. Test accuracy without
        sentences, plain and with a projection as large as theirs, and with sentences:

        >>> from neural.worlds.concepts import concepts
        >>> task = concepts(seed=2)
        >>> few, test, text = task.few_shot(2, seed=2).train, task.tests["test"], task.auxiliaries["text"]
        >>> plain, aux = UnpairedClassifier(random_state=1), (text.features, text.labels)
        >>> matched = UnpairedClassifier(projection=True, head_dim=text.dim, random_state=1)
        >>> for model, sentences in ((plain, None), (matched, None), (plain, aux)):
        ...     model = model.fit(few.features, few.labels, aux=sentences)
        ...     print(round(model.score(test.features, test.labels), 2))
        0.17
        0.14
        0.37
    """

    def __init__(
        self,
        *,
        projection: bool | str = "auto",
        aligned: bool = False,
        head_dim: int | None = None,
        init: str = "auxiliary",
        loss_weight: float = 1.0,
        extra_classes: str = "error",
        fit_intercept: bool = True,
        standardise: bool = True,
        learn_scales: bool = False,
        logit_scale: float = 1.0,
        learning_rate: float = 0.01,
        weight_decay: float = 0.01,
        batch_size: int = 64,
        max_iter: int = 1000,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = 10,
        device: torch.device | str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.projection = projection
        self.aligned = aligned
        self.head_dim = head_dim
        self.init = init
        self.loss_weight = loss_weight
        self.extra_classes = extra_classes
        self.fit_intercept = fit_intercept
        self.standardise = standardise
        self.learn_scales = learn_scales
        self.logit_scale = logit_scale
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        aux: Auxiliary | Mapping[str, Auxiliary] | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train.

        Inside a search or a cross-validation `aux` is passed on as it is: ``GridSearchCV(...).fit(X, y, aux=aux)``. In a
        pipeline name the step, ``pipeline.fit(X, y, unpairedclassifier__aux=aux)``; where scikit-learn's metadata routing
        is enabled, request it, ``UnpairedClassifier().set_fit_request(aux=True)``, and leave the prefix out.

        Args:
            X: (n, d) features of the target modality.
            y: (n,) labels, numbers or strings.
            aux: ``(X_aux, y_aux)``, or ``{name: (X_aux, y_aux)}`` for several modalities; labels are those of y.
            X_val: (m, d) rows to stop early by, instead of a part of X; they stop early whatever `early_stopping` is.
            y_val: (m,) their labels.

        Returns:
            The fitted estimator.

        Raises:
            TypeError: `aux` of another form.
            UnknownNameError: an option that does not exist.
            ValueError: parameters out of range, labels or dimensions that do not match, a training that diverged.
        """
        self._check_parameters()
        features, y = validate_data(self, X, y, dtype=_FLOATS)
        with warnings.catch_warnings():  # one row per class is a regular case here
            warnings.filterwarnings("ignore", message="The number of unique classes is greater")
            check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class only, {_some(self.classes_)}; two classes or more are needed")
        self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
        rows, val = {TARGET: (features, labels)}, self._validation_rows(X_val, y_val)
        if val is None and self.early_stopping:
            part, share = np.arange(len(labels)), self.validation_fraction
            part, out = train_test_split(part, test_size=share, stratify=labels, random_state=self.seed_)
            rows[TARGET], val = (features[part], labels[part]), (features[out], labels[out])
        rows |= {name: self._auxiliary_rows(name, *pair) for name, pair in _by_name(aux).items()}
        auxiliaries = list(rows)[1:]
        head_dim, projected = self._layout({name: features.shape[1] for name, (features, _) in rows.items()})

        self.scalers_ = {n: StandardScaler().fit(part) for n, (part, _) in rows.items() if self.standardise}
        train = {name: self._prepare(name, *pair) for name, pair in rows.items()}
        # Parameters of a network cannot have every name that a user may like.
        inside = {name: f"auxiliary {i}" if i else TARGET for i, name in enumerate(train)}
        run = HeadRun(
            type(self).__name__,
            n_classes=len(self.classes_),
            train={inside[name]: part for name, part in train.items()},
            val=train[TARGET] if val is None else self._prepare(TARGET, *val),
            batch_sizes={inside[name]: min(self.batch_size, len(part)) for name, part in train.items()},
            seed=self.seed_,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            head_dim=head_dim + bool(self.fit_intercept),
            projected=tuple(inside[name] for name in projected),
            initial_head=self._initial_head(train[auxiliaries[0]]) if auxiliaries else None,
            loss_weights={inside[name]: self.loss_weight for name in auxiliaries},
            learn_scales=self.learn_scales,
            logit_scale=self.logit_scale,
        )
        warmup, every = self.max_iter // 20, max(1, self.max_iter // _LOOKS)
        schedule = (
            Schedule(self.max_iter, warmup, self.max_iter, None, "last")
            if val is None
            else Schedule(self.max_iter, warmup, every, self.n_iter_no_change)
        )
        fit = train_head(run, schedule, device=self.device)
        if fit.diverged_at is not None:
            what = f"training diverged: loss not finite after {fit.diverged_at} steps"
            raise ValueError(f"{what}; lower learning_rate or logit_scale, or standardise")
        self.validation_score_ = None if val is None else fit.best[0]
        self._keep(fit, inside)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logits of the rows of X (n, d): (n, C); for two classes (n,), positive for the second one."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=_FLOATS, reset=False)
        scores = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of the classes for the rows of X (n, d): (n, C), in the order of `classes_`."""
        scores = self.decision_function(X)
        return softmax(np.stack([0 * scores, scores], axis=1) if scores.ndim == 1 else scores, axis=1)

    def predict(self, X: ArrayLike) -> NDArray:
        """Labels of the most probable classes for the rows of X (n, d): (n,)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    def _check_parameters(self) -> None:
        for name, options in _OPTIONS.items():
            if getattr(self, name) not in options:
                raise UnknownNameError(getattr(self, name), map(str, options), name)
        for name in ("batch_size", "max_iter", "n_iter_no_change", "head_dim"):
            if getattr(self, name) is not None or name in {"batch_size", "max_iter"}:
                as_whole(getattr(self, name), name, least=1)
        for name in ("loss_weight", "weight_decay", "learning_rate", "logit_scale"):
            value, positive = getattr(self, name), name in {"learning_rate", "logit_scale"}
            if not (np.isfinite(value) and value >= 0) or (positive and not value):
                raise ValueError(f"{name} must be finite and {'> 0' if positive else '>= 0'}, got {value!r}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must lie in (0, 1), got {self.validation_fraction!r}")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(f"device {str(self.device)!r} is not there; use device='cpu'") from error

    def _layout(self, dims: Mapping[str, int]) -> tuple[int, list[str]]:
        """Features of the head's space, without the constant one, and the modalities that are projected into it."""
        dim, *others = dims.values()
        if set(others) - {dim} and (self.aligned or not self.projection):
            setting = "aligned=True" if self.aligned else "projection=False"
            raise ValueError(
                f"{setting} needs equal numbers of features, got {dims}; leave it out to project"
            )
        projected = bool(others) and not self.aligned if self.projection == "auto" else self.projection
        space = dim
        if projected:
            space = others[0] if others else self.head_dim or dim
        if self.head_dim not in {None, space}:
            raise ValueError(f"head_dim={self.head_dim}, but the head's space has {space}; leave it out")
        return space, [name for i, name in enumerate(dims) if i != 1] if projected else []

    def _initial_head(self, rows: Embeddings) -> NDArray[np.float32] | None:
        """Class means, or random directions where there are none; intercepts start at zero."""
        if self.init == "random":
            return None
        n, constant = len(self.classes_), int(self.fit_intercept)
        rows = Embeddings(rows.features[:, : rows.dim - constant], rows.labels, rows.name)
        typical = np.sqrt(np.square(rows.features, dtype=np.float64).sum(axis=1).mean())
        usable = np.linalg.norm(rows.class_means(n), axis=1) > _NO_DIRECTION * typical
        start = streams(self.seed_, ["head"])["head"].normal(size=(n, rows.dim))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        if usable.any():
            kept = rows.take(usable[rows.labels])
            renumbered = Embeddings(kept.features, (np.cumsum(usable) - 1)[kept.labels], rows.name)
            start[usable] = class_mean_head(renumbered, int(usable.sum()))
        if not usable.all():
            which = f"no class mean for {_some(self.classes_[~usable])} (no rows, or rows that cancel)"
            warnings.warn(f"{rows.name}: {which}; the head starts from random directions there", stacklevel=3)
        return np.pad(start, ((0, 0), (0, constant))).astype(np.float32)

    def _auxiliary_rows(self, name: str, X: ArrayLike, y: ArrayLike) -> Rows:
        features = as_array(X, f"aux {name!r}: features", ndim=2, single=True)
        numbers = self._numbers(y, len(features), f"aux {name!r}", drop=self.extra_classes == "ignore")
        known = numbers >= 0
        if not known.any():
            raise ValueError(f"aux {name!r}: no row has a label that is in y ({_some(self.classes_)})")
        return features[known], numbers[known]

    def _validation_rows(self, X: ArrayLike | None, y: ArrayLike | None) -> Rows | None:
        if X is None and y is None:
            return None
        if X is None or y is None:
            raise ValueError("X_val and y_val belong together; one of them is missing")
        features = validate_data(self, X, dtype=_FLOATS, reset=False)
        return features, self._numbers(y, len(features), "X_val, y_val")

    def _numbers(self, y: ArrayLike, count: int, what: str, drop: bool = False) -> NDArray[np.int64]:
        """Class numbers, -1 for rows to drop."""
        labels = column_or_1d(y, warn=True)
        if len(labels) != count:
            raise ValueError(f"{what}: {count} rows of features, but {len(labels)} labels")
        known = {label: number for number, label in enumerate(self.classes_.tolist())}
        numbers = np.array([known.get(label, -1) for label in labels.tolist()], dtype=np.int64)
        unknown = labels[numbers < 0]
        if len(unknown) and not drop:
            which = f"{len(unknown)} of {count} rows have labels that are not in y: {_some(unknown)}"
            raise ValueError(f"{what}: {which}; drop them (auxiliary rows: extra_classes='ignore')")
        return numbers

    def _prepare(self, name: str, features: Floats, labels: NDArray[np.int64]) -> Embeddings:
        if name in self.scalers_:
            features = self.scalers_[name].transform(features)
        if self.fit_intercept:
            features = np.column_stack([features, np.ones(len(features), features.dtype)])
        return Embeddings(features, labels, "X" if name == TARGET else f"aux {name!r}")

    def _keep(self, fit: HeadFit, inside: Mapping[str, str]) -> None:
        """Fitted attributes, as arrays."""
        model, d = fit.model, self.n_features_in_
        factors = [1.0] * len(inside) if model.scales is None else model.scales.tolist()
        self.scales_ = {name: self.logit_scale * factor for name, factor in zip(inside, factors, strict=True)}
        projected = model.layout.projected
        projections = {
            name: model.projection(key).detach().numpy() for name, key in inside.items() if key in projected
        }
        self.head_ = model.head.detach().numpy()
        self.projection_ = projections.pop(TARGET, None)
        self.auxiliary_projections_ = projections
        self.n_iter_, self.best_iter_ = int(fit.looks[-1]), fit.best_step
        self.looks_, self.loss_curve_, self.score_curve_ = fit.looks, fit.val_loss, fit.val_accuracy

        weights = self.scales_[TARGET] * self.head_.astype(np.float64)
        if self.projection_ is not None:
            weights = weights @ self.projection_
        coef, intercept = weights[:, :d], weights[:, d:].sum(axis=1)
        if self.standardise:
            coef = coef / self.scalers_[TARGET].scale_
            intercept = intercept - coef @ self.scalers_[TARGET].mean_
        if len(self.classes_) == 2:
            coef, intercept = np.diff(coef, axis=0), np.diff(intercept)
        self.coef_, self.intercept_ = coef, intercept


def _by_name(aux: Auxiliary | Mapping[str, Auxiliary] | None) -> dict[str, Auxiliary]:
    if aux is None:
        return {}
    named = dict(aux) if isinstance(aux, Mapping) else {"auxiliary": aux}
    if TARGET in named:
        raise ValueError(f"aux: {TARGET!r} is the name of X; rename this modality")
    for name, pair in named.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(
                f"aux: expected (X, y) or {{name: (X, y)}}, got {type(pair).__name__} as {name!r}"
            )
    return named


def _some(labels: NDArray) -> str:
    names = list(dict.fromkeys(labels.tolist()))
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
