"""Every row of the table "as stated -> as it holds": refuted where it should be, never refuted as it holds."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit import theorems as th
from fisherkit.symbolic import COUNTEREXAMPLES
from tests.comparators import assert_allclose_report, assert_loewner_geq
from tests.strategies import directions, orthogonal, psd_pairs, random_psd, seeds

DIRECTIONAL = [
    th.theorem_2_information,
    th.theorem_2_outside,
    th.theorem_2_inside,
    th.theorem_2_restricted,
    th.theorem_2_existence,
    th.corollary_1,
    th.corollary_2,
    th.corollary_3,
]
GLOBAL = [th.theorem_1_information, th.theorem_1_variance, th.theorem_3]


def example(name):
    """Matrices of a named counterexample, after its facts were verified over the rationals."""
    entry = COUNTEREXAMPLES[name]
    facts = entry.verify()
    assert all(facts.values()), facts
    return entry.floats()


def assert_refuted(verdict):
    assert verdict.applies, verdict
    assert not verdict.holds, verdict
    assert verdict.refuted


def assert_confirmed(verdict):
    assert verdict.applies, verdict
    assert verdict.holds, verdict
    assert not verdict.refuted


# --- the table, row by row -----------------------------------------------------------------------------------------


def test_least_squares_is_maximum_likelihood_only_for_equal_noise():
    m = example("unweighted least squares")
    arguments = m["gram_x"], m["gram_y"], tuple(m["noise_var"]), m["v"]
    three = th.joint_variances(*arguments)
    assert_allclose_report([three.alone, three.unweighted, three.weighted], [1, 5 / 2, 9 / 10])
    assert_refuted(th.least_squares_is_mle(*arguments, reading="as_stated"))
    assert not th.least_squares_is_mle(*arguments).applies
    assert_confirmed(th.least_squares_is_mle(m["gram_x"], m["gram_y"], (9.0, 9.0), m["v"]))
    assert_refuted(th.joint_fit_never_hurts(*arguments, reading="as_stated"))
    assert_confirmed(th.joint_fit_never_hurts(*arguments))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 4.0])
def test_unweighted_joint_fit_hurts_beyond_a_known_noise_ratio(ratio):
    """For G_Y = r G_X: exactly when s_y^2 > (2 + r) s_x^2."""
    rng = np.random.default_rng(3)
    gram = random_psd(rng, 3, 3)
    v = rng.standard_normal(3)
    for factor in (0.99, 1.01):
        noise = (2.0, 2.0 * factor * (2 + ratio))
        verdict = th.joint_fit_never_hurts(gram, ratio * gram, noise, v, reading="as_stated")
        assert verdict.applies
        assert verdict.holds == (factor < 1)


def test_unweighted_variance_is_what_simulated_least_squares_shows():
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((4, 2)), rng.standard_normal((5, 2))
    s_x, s_y, v, n = 1.0, 9.0, np.array([1.0, -1.0]), 20000
    noise = np.concatenate(
        [np.sqrt(s_x) * rng.standard_normal((n, 4)), np.sqrt(s_y) * rng.standard_normal((n, 5))], axis=1
    )
    stacked = np.concatenate([a, b])
    weights = np.repeat([1 / s_x, 1 / s_y], [4, 5])
    plain = np.linalg.lstsq(stacked, noise.T, rcond=None)[0].T @ v
    weighted = (
        np.linalg.lstsq(stacked * np.sqrt(weights)[:, None], (noise * np.sqrt(weights)).T, rcond=None)[0].T
        @ v
    )
    three = th.joint_variances(a.T @ a, b.T @ b, (s_x, s_y), v)
    # a variance over n draws has relative sd sqrt(2/n) = 0.01; 5 of them, twice: false alarm 1e-6
    assert abs(plain.var() / three.unweighted - 1) < 0.05
    assert abs(weighted.var() / three.weighted - 1) < 0.05


def test_theorem_1_variance_is_not_an_order_of_pseudoinverses():
    m = example("theorem 1, pseudoinverses")
    verdict = th.theorem_1_variance(m["m_x"], m["m_y"], reading="as_stated")
    assert_refuted(verdict)
    assert_allclose_report(verdict.right - verdict.left, np.diag([0.5, -1.0]))
    assert_allclose_report(np.abs(verdict.witness), [0.0, 1.0])
    assert_confirmed(th.theorem_1_variance(m["m_x"], m["m_y"]))
    for reading in ("as_stated", "as_holds"):
        assert_confirmed(th.theorem_1_information(m["m_x"], m["m_y"], reading=reading))


def test_theorem_1_with_private_parameters_needs_effective_information():
    m = example("theorem 1, private parameters")
    x, y = [np.eye(2)], [(m["b_c"], m["b_y"])]
    assert_refuted(th.theorem_1_private(x, y, reading="as_stated"))
    assert not th.theorem_1_private(x, y).applies
    assert th.effective(y).rank == 0
    more_rows = [(np.concatenate([m["b_c"], m["b_c"]]), np.concatenate([m["b_y"], np.zeros((2, 2))]))]
    for reading in ("as_stated", "as_holds"):
        assert_confirmed(th.theorem_1_private(x, more_rows, reading=reading))


def test_theorem_1_full_rank_means_full_column_rank():
    m = example("theorem 1, full row rank")
    assert not th.theorem_1_private([m["m_x"]], [m["b_c"]], reading="as_stated").applies
    assert not th.theorem_1_information(m["m_x"], th.shared_gram([m["b_c"]])).holds


def test_lemma_1_holds_in_both_forms():
    m, n = np.diag([1.0, 2.0]), np.diag([1.0, 3.0])
    assert not th.lemma_1(m, n).applies
    assert_confirmed(th.lemma_1(m, n, strict=False))
    assert_confirmed(th.lemma_1(m, 2 * n))
    assert not th.lemma_1(np.diag([1.0, 0.0]), n).applies


def test_lemma_2_is_strict_on_the_complement_of_the_kernel_only():
    m = example("lemma 2, whole space")
    stated = th.lemma_2(m["m"], m["n"], reading="as_stated")
    assert not stated.applies
    assert not stated.holds
    assert "common kernel has dimension 1" in stated.note
    assert_confirmed(th.lemma_2(m["m"], m["n"]))
    different = example("lemma 2, different kernels")
    assert not th.lemma_2(different["m"], different["n"]).applies
    assert not th.lemma_2(different["m"], different["n"]).holds


def test_lemma_3_strict_iff_condition_and_top_eigenvector():
    m, n = np.eye(2), np.diag([1.0, 4.0])
    blind, seen = th.lemma_3(m, n, [1, 0]), th.lemma_3(m, n, [1, 1])
    assert_confirmed(blind)
    assert_confirmed(seen)
    assert (blind.margin, blind.left) == (0.0, 1.0)
    assert seen.left < seen.right
    assert not th.lemma_3(m, n, [1, 0], reading="as_stated").applies
    assert_confirmed(th.lemma_3(m, n, [1, 1], reading="as_stated"))
    exists = th.lemma_3_existence(m, n, [1, 1])
    assert_confirmed(exists)
    assert_allclose_report(np.abs(exists.witness), [0, 1])
    assert_allclose_report(exists.margin, 3 / 4)
    assert not th.lemma_3_existence(m, n, [1, 0]).applies


def test_lemma_4_information_is_semidefinite():
    rng = np.random.default_rng(0)
    for d, n in ((1, 1), (3, 2), (5, 40)):
        scores = rng.standard_normal((n, d))
        verdict = th.lemma_4_scores(scores)
        assert_confirmed(verdict)
        assert_allclose_report(
            verdict.left, np.linalg.eigvalsh(scores.T @ scores / n)[0], rtol=1e-6, atol=1e-12
        )
        assert_confirmed(th.lemma_4([scores, 2 * scores]))


def test_theorem_2_part_1_holds():
    verdict = th.theorem_2_information(np.eye(2), np.diag([0.0, 2.0]), [1, 1])
    assert_confirmed(verdict)
    assert (verdict.left, verdict.right) == (4.0, 2.0)
    assert not th.theorem_2_information(np.eye(2), np.diag([0.0, 2.0]), [1, 0]).applies


@pytest.mark.parametrize(("name", "pseudo"), [("theorem 2, case 1", 2), ("theorem 2, silent X", 1)])
def test_theorem_2_case_1_needs_a_jointly_estimable_direction(name, pseudo):
    m = example(name)
    verdict = th.theorem_2_outside(m["m_x"], m["m_y"], m["v"], reading="as_stated")
    assert_refuted(verdict)
    assert verdict.left == verdict.right == np.inf
    assert f"v'M_XY^+ v = {pseudo} is no variance" in verdict.note
    assert not th.theorem_2_outside(m["m_x"], m["m_y"], m["v"]).applies
    assert_confirmed(th.theorem_2_outside(m["m_x"], m["m_y"], m["m_y"] @ m["v"]))


def test_theorem_2_case_2_needs_the_exact_condition():
    m = example("theorem 2, case 2")
    arguments = m["m_x"], m["m_y"], m["v"]
    assert_refuted(th.theorem_2_inside(*arguments, reading="as_stated"))
    verdict = th.theorem_2_inside(*arguments)
    assert_confirmed(verdict)
    assert_allclose_report([verdict.left, verdict.right], 1.0)
    assert_allclose_report(verdict.witness, [0.0, 0.0], atol=1e-12)
    for reading in ("as_stated", "as_holds"):
        restricted = th.theorem_2_restricted(*arguments, reading=reading)
        assert_confirmed(restricted)
        assert_allclose_report([restricted.left, restricted.right], [0.5, 1.0])


def test_theorem_2_existence_needs_ranges_that_meet():
    m = example("theorem 2, existence")
    assert_refuted(th.theorem_2_existence(m["m_x"], m["m_y"], m["v"], reading="as_stated"))
    verdict = th.theorem_2_existence(m["m_x"], m["m_y"])
    assert_confirmed(verdict)
    assert verdict.margin < 1e-12
    meeting = th.theorem_2_existence(np.diag([1.0, 1.0, 0.0]), np.diag([0.0, 3.0, 1.0]))
    assert_confirmed(meeting)
    assert_allclose_report(np.abs(meeting.witness), [0, 1, 0], atol=1e-12)
    assert_allclose_report([meeting.left, meeting.right], [0.25, 1.0])


def test_restricted_variance_depends_on_units_and_the_true_one_does_not():
    m = example("theorem 2, units")
    u = m["units"]
    rescaled = [m[key] * np.outer(u, u) for key in ("m_x", "m_y")] + [m["v"] * u]
    plain = [m[key] for key in ("m_x", "m_y", "v")]
    assert_allclose_report(
        [th.theorem_2_restricted(*plain).left, th.theorem_2_restricted(*rescaled).left], [4 / 5, 25 / 26]
    )
    assert_allclose_report(th.theorem_2_inside(*plain).left, th.theorem_2_inside(*rescaled).left)


def test_corollary_1_contraction_factor():
    rng = np.random.default_rng(4)
    q = orthogonal(rng, 4)
    m_x, m_y = (q @ np.diag(s) @ q.T for s in ([1, 2, 0, 3], [4, 0, 5, 6]))
    verdict = th.corollary_1(m_x, m_y, 3 * q[:, 0])
    assert_confirmed(verdict)
    assert_allclose_report([verdict.left, verdict.right], 1 / 5)
    assert not th.corollary_1(m_x, m_y, q[:, 1]).applies
    assert not th.corollary_1(m_x, m_y, q[:, 0] + q[:, 3]).applies


def test_corollary_2_needs_a_jointly_estimable_direction():
    m = example("corollary 2")
    assert_refuted(th.corollary_2(m["m_x"], m["m_y"], m["v"], reading="as_stated"))
    assert not th.corollary_2(m["m_x"], m["m_y"], m["v"]).applies
    assert_confirmed(th.corollary_2(m["m_x"], m["m_y"], [0, 1, 0]))


def test_corollary_3_needs_block_diagonality():
    m = example("corollary 3")
    assert_refuted(th.corollary_3(m["m_x"], m["m_y"], m["v"], reading="as_stated"))
    assert not th.corollary_3(m["m_x"], m["m_y"], m["v"]).applies
    verdict = th.corollary_3(m["m_x"], np.diag([3.0, 1.0]), m["v"])
    assert_confirmed(verdict)
    assert_allclose_report([verdict.left, verdict.right], [1 / 4, 1])


def test_theorem_3_is_sufficient_and_not_necessary():
    m = example("theorem 3, necessity")
    stated = th.theorem_3(m["m_x"], m["m_y"], reading="as_stated")
    assert not stated.applies
    assert stated.holds, "the conclusion is true without the hypothesis"
    assert_confirmed(th.theorem_3(m["m_x"], m["m_y"]))
    blind = th.theorem_3(np.diag([5.0, 0.0]), np.ones((2, 2)), reading="as_stated")
    assert_confirmed(blind)
    assert_allclose_report(np.abs(blind.witness), [0, 1])
    assert blind.right == 0
    swapped = th.theorem_3(m["m_y"], m["m_x"])
    assert_confirmed(swapped)
    assert swapped.witness is None, "I_Y < I_X: no direction gains"


def test_theorem_3_on_design_blocks():
    x, y = [np.array([[1.0, 0.0]])] * 9, [np.array([[0.0, 0.1]])] * 9
    verdict = th.theorem_3_designs(x, y, 4, reading="as_stated")
    assert_confirmed(verdict)
    assert_allclose_report([verdict.left, verdict.right], [0.04, 0.0])


def test_proposition_1_with_nuisance_parameters_adds_effective_information():
    m = example("proposition 1, nuisance parameters")
    informations = {"x": m["i_x"], "y": m["i_y"]}
    assert_refuted(th.proposition_1(informations, 1, reading="as_stated"))
    verdict = th.proposition_1(informations, 1)
    assert_confirmed(verdict)
    assert_allclose_report([verdict.left, verdict.right], 1.0, rtol=1e-7)
    orthogonal_blocks = {"x": np.diag([1.0, 1.0]), "y": [[1.0]]}
    assert_confirmed(th.proposition_1(orthogonal_blocks, 1, reading="as_stated"))


def test_proposition_1_on_scores():
    rng = np.random.default_rng(2)
    g_x, g_y = rng.standard_normal((2, 5000, 3))
    for reading in ("as_stated", "as_holds"):
        assert_confirmed(th.proposition_1_scores(g_x, g_y, reading=reading))
        paired = th.proposition_1_scores(g_x, g_x + 0.5 * g_y, reading=reading)
        assert not paired.applies
        assert not paired.holds
    shifted = g_y + 1.0  # one zero mean is enough
    assert not th.proposition_1_scores(g_x, shifted, reading="as_stated").applies
    assert_confirmed(th.proposition_1_scores(g_x, shifted))
    assert not th.proposition_1_scores(g_x + 1.0, shifted).holds


def test_proposition_1_on_simulated_scores_of_a_model():
    """Scores from the definition; E[g g'] is the plain shared block, private parameters fixed."""
    model = fk.random_model(2, {"x": 1, "y": 1}, seed=5, noise_std={"x": 0.5, "y": 2.0})
    draws = fk.simulate(model, {"x": 1, "y": 1}, seed=6, replicates=4000)
    scores = {}
    for name, modality in model.modalities.items():
        theta = model.layout.split(draws.theta)
        mean = modality.shared @ theta["shared"] + modality.private @ theta[name]
        scores[name] = (draws.data[name][:, 0] - mean) @ modality.shared / modality.noise_std**2
    verdict = th.proposition_1_scores(scores["x"], scores["y"])
    assert_confirmed(verdict)
    plain = fk.effective_information(model, {"x": 1, "y": 1}, fisher_orthogonal=True)
    # entries have relative sd sqrt(2/n) = 0.022 at most in these units: five of them
    size = np.sqrt(np.outer(plain.diagonal(), plain.diagonal()))
    assert np.abs((verdict.left - plain) / size).max() < 5 * np.sqrt(2 / 4000)


# --- never refuted as it holds, on random matrices -----------------------------------------------------------------


@given(st.data())
def test_no_pair_refutes_a_statement_as_it_holds(data):
    m_x, m_y = data.draw(psd_pairs())
    for function in GLOBAL:
        assert not function(m_x, m_y).refuted
    v = data.draw(directions(m_x, m_y))
    for function in DIRECTIONAL:
        verdict = function(m_x, m_y, v)
        assert not verdict.refuted, verdict
    m, n = m_x, m_x + m_y
    for verdict in (
        th.lemma_1(m, n),
        th.lemma_1(m, n, strict=False),
        th.lemma_2(m, n),
        th.lemma_3(m, n, v),
        th.lemma_3_existence(m, n, v),
        th.joint_fit_never_hurts(m_x, m_y, (1.0, 50.0), v),
        th.least_squares_is_mle(m_x, m_y, (3.0, 3.0), v),
    ):
        assert not verdict.refuted, verdict


@pytest.mark.parametrize("reading", ["as_stated", "as_holds"])
def test_statements_without_a_gap_are_never_refuted_as_stated_either(reading):
    rng = np.random.default_rng(11)
    for _ in range(200):
        d = int(rng.integers(1, 6))
        m_x, m_y = (random_psd(rng, d, int(rng.integers(0, d + 1)), 100.0) for _ in range(2))
        v = rng.standard_normal(d)
        for verdict in (
            th.theorem_1_information(m_x, m_y, reading=reading),
            th.theorem_2_information(m_x, m_y, v, reading=reading),
            th.theorem_2_restricted(m_x, m_y, m_x @ v + (0 if m_x.any() else v), reading=reading),
            th.theorem_3(m_x, m_y, reading=reading),
            th.lemma_1(m_x, m_x + m_y, reading=reading),
            th.lemma_3(m_x, m_x + m_y, v, reading=reading),
        ):
            assert not verdict.refuted, verdict


def test_random_instances_do_meet_the_hypotheses():
    """A statement whose hypotheses are never met would pass every test above."""
    rng = np.random.default_rng(12)
    met: dict[str, int] = {}
    for _ in range(300):
        d = int(rng.integers(2, 7))
        frame = orthogonal(rng, d)
        m_x = random_psd(rng, d, int(rng.integers(1, d + 1)), 1e3)
        m_y = random_psd(rng, d, int(rng.integers(1, d + 1)), 1e3)
        common = [(frame * rng.integers(0, 3, d)) @ frame.T for _ in range(2)]
        kernel = np.linalg.eigh(m_x)[1][:, 0]
        joint = (m_x + m_y) @ rng.standard_normal(d)
        cases = [(f, f(m_x, m_y)) for f in GLOBAL]
        cases += [(f, f(m_x, m_y, m_x @ joint)) for f in DIRECTIONAL]
        cases += [(f, f(m_x, m_y, joint)) for f in DIRECTIONAL]
        cases += [(f, f(m_x, m_y, kernel)) for f in DIRECTIONAL]
        cases += [(f, f(*((m + m.T) / 2 for m in common), frame[:, 0])) for f in DIRECTIONAL]
        cases += [(th.lemma_1, th.lemma_1(m_x, m_x + m_y)), (th.lemma_3, th.lemma_3(m_x, m_x + m_y, joint))]
        cases += [(th.lemma_2, th.lemma_2(m_x, (1 + rng.random()) * m_x))]
        cases += [(th.lemma_3_existence, th.lemma_3_existence(m_x, m_x + m_y, joint))]
        for function, verdict in cases:
            assert not verdict.refuted, verdict
            met[function.__name__] = met.get(function.__name__, 0) + verdict.applies
    assert min(met.values()) >= 25, met


@given(psd_pairs(max_condition=1e3, full_rank=True), seeds)
def test_margins_are_the_relative_variance_reductions(pair, seed):
    m_x, m_y = pair
    v = np.random.default_rng(seed).standard_normal(len(m_x))
    alone, joint = v @ np.linalg.solve(m_x, v), v @ np.linalg.solve(m_x + m_y, v)
    verdict = th.theorem_2_inside(m_x, m_y, v)
    assert_allclose_report([verdict.left, verdict.right], [joint, alone], rtol=1e-7)
    assert_allclose_report(verdict.margin, 1 - joint / alone, rtol=1e-7, atol=1e-7)
    assert_allclose_report(th.Pair.of(m_x, m_y).predicted_drop(v), 1 - joint / alone, rtol=1e-7, atol=1e-7)
    smallest = th.theorem_1_variance(m_x, m_y).margin
    assert smallest <= verdict.margin + 1e-7 <= th.theorem_2_existence(m_x, m_y).margin + 2e-7
    assert_loewner_geq(np.linalg.inv(m_x) * (1 - smallest), np.linalg.inv(m_x + m_y), slack=1e-6)


@given(st.data())
def test_verdicts_survive_change_of_basis_and_units(data):
    m_x, m_y = data.draw(psd_pairs(max_dim=5, max_condition=1e3, max_unit=1.0))
    v = data.draw(directions(m_x, m_y))
    rng = np.random.default_rng(data.draw(seeds))
    d = len(m_x)
    q = orthogonal(rng, d)
    units = 10.0 ** rng.uniform(-4, 4, d)
    roots = [fk.PSD.of(m).root @ q.T for m in (m_x, m_y)]  # rotated products would round in all coordinates
    turned = [root.T @ root for root in roots]
    invariant = [th.theorem_2_information, th.theorem_2_outside, th.theorem_2_inside, th.theorem_2_existence]
    for function in invariant:
        for reading in ("as_stated", "as_holds"):
            if function is th.theorem_2_inside and reading == "as_stated":
                continue  # C_v is about a subspace that depends on units
            before = function(m_x, m_y, v, reading=reading)
            for after in (
                function(*turned, q @ v, reading=reading),
                function(
                    m_x * np.outer(units, units),
                    m_y * np.outer(units, units),
                    _dual(function, v, units),
                    reading=reading,
                ),
            ):
                if before.applies and after.applies:
                    assert after.holds == before.holds, (before, after)


def _dual(function, v, units):
    """Directions of variances are functionals, those of information displacements: they rescale inversely."""
    return v / units if function is th.theorem_2_information else v * units


@given(st.data())
def test_effective_information_adds_over_modalities(data):
    rng = np.random.default_rng(data.draw(seeds))
    d_c = data.draw(st.integers(1, 3))
    informations = {}
    for name in "xyz"[: data.draw(st.integers(1, 3))]:
        d = d_c + data.draw(st.integers(0, 3))
        informations[name] = random_psd(rng, d, data.draw(st.integers(0, d)), 50.0)
    verdict = th.proposition_1(informations, d_c)
    assert not verdict.refuted, verdict
    plain = th.proposition_1(informations, d_c, reading="as_stated")
    assert_loewner_geq(plain.right, plain.left, slack=1e-5, what="plain blocks overstate")


@given(st.data())
def test_theorem_1_with_random_private_designs(data):
    rng = np.random.default_rng(data.draw(seeds))
    d_c, d_x, d_y = (data.draw(st.integers(1, 3)) for _ in range(3))
    x = [
        (rng.standard_normal((2, d_c)), rng.standard_normal((2, d_x)))
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    y = [
        (rng.standard_normal((2, d_c)), rng.standard_normal((2, d_y)))
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    verdict = th.theorem_1_private(x, y)
    assert not verdict.refuted, verdict
    if verdict.hypotheses[th.RESOLVED]:
        assert verdict.holds == verdict.hypotheses["rank [B_c B_y] = d_c + rank B_y"], (
            "the condition is exact"
        )
    model = fk.LinearGaussian({
        name: fk.Modality(*(np.stack(blocks) for blocks in zip(*designs, strict=True)))
        for name, designs in (("x", x), ("y", y))
    })
    counts = {"x": len(x), "y": len(y)}
    expected = fk.effective_information(model, counts)
    assert_allclose_report(verdict.left, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("epsilon", 10.0 ** -np.arange(0, 15, 2))
def test_nearly_confounded_designs_are_undecided_rather_than_wrong(epsilon):
    """Y's effective information epsilon^2 / (1 + epsilon^2) fades while the rank condition stays met."""
    x, y = [([[1.0]], [[0.0]])], [([[1.0], [0.0]], [[1.0], [epsilon]])]
    verdict = th.theorem_1_private(x, y)
    assert not verdict.refuted
    assert verdict.applies == (epsilon > 1e-7)
    if epsilon > 1e-7:
        assert_confirmed(verdict)
        assert_allclose_report(verdict.left - verdict.right, epsilon**2 / (1 + epsilon**2), rtol=1e-3)


# --- results, messages, documentation -------------------------------------------------------------------------------


def test_singular_information_is_undecided_rather_than_wrong():
    """Information of relative size 1e-14 is rounding beside 1: no hypothesis about it is called met."""
    m_x, m_y = np.eye(2), 1e-14 * np.ones((2, 2)) + 1e-14 * np.eye(2)
    verdict = th.theorem_1_information(m_x, m_y)
    assert not verdict.applies
    assert not th.theorem_1_variance(m_x, m_y).applies


def test_tiny_information_beside_large_one_is_undecided_rather_than_wrong():
    """X's range lies inside the joint range, but beside Y's 1e10 times larger information it is seen inexactly."""
    units = np.array([1.0, 0.1, 1e-4])
    x, y = np.array([1.0, 3.0, 1.0]) * units, np.array([-1.0, 2.0, 2.0]) * units
    m_x, m_y = 1e-10 * np.outer(x, x), np.outer(y, y)
    verdict = th.theorem_2_inside(m_x, m_y, m_x.sum(axis=1))
    assert not verdict.hypotheses[th.RESOLVED]
    assert not verdict.refuted


@pytest.mark.parametrize("epsilon", 10.0 ** -np.arange(0, 15, 2))
def test_block_diagonality_is_judged_beside_what_y_says_of_each_block(epsilon):
    """M_Y = (e2 + epsilon e1)(e2 + epsilon e1)' / epsilon^2 tells X's direction nothing, however small its entry."""
    y = np.array([1.0, 1 / epsilon])
    m_x, m_y = np.diag([1.0, 0.0]), np.outer(y, y)
    assert not th.corollary_3(m_x, m_y, [1.0, 0.0]).applies
    assert_confirmed(th.corollary_3(m_x, np.diag(y**2), [1.0, 0.0]))
    if epsilon > 1e-5:
        assert_refuted(th.corollary_3(m_x, m_y, [1.0, 0.0], reading="as_stated"))


def test_repr_tells_the_whole_story():
    m = example("corollary 3")
    text = repr(th.corollary_3(m["m_x"], m["m_y"], m["v"], reading="as_stated"))
    assert text == (
        "Gupta et al. 2025, Corollary 3, as stated: Var_XY < Var_X = ||v||^2 / lambda REFUTED (1 vs 1; hypotheses met)"
    )
    text = repr(th.corollary_3(m["m_x"], m["m_y"], m["v"]))
    assert "fails (1 vs 1; not met: P_S M_Y P_S-perp = 0" in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: th.theorem_2_inside(np.eye(2), np.eye(2), [1, 0], reading="literal"), "reading must be 'as_stated' or"),
        (lambda: th.theorem_2_inside(np.eye(2), np.eye(2), [0, 0]), "v: the zero vector is no direction"),
        (lambda: th.theorem_2_inside(np.eye(2), np.eye(2), [1, 0, 0]), "v: expected length 2, got 3"),
        (lambda: th.theorem_1_variance(np.eye(2), np.eye(3)), r"M_Y: expected shape \(2, 2\), got \(3, 3\)"),
        (lambda: th.theorem_1_variance(-np.eye(2), np.eye(2)), "M_X: diagonal entry 0 is -1; not positive semidef"),
        (lambda: th.theorem_2_existence(np.eye(2), np.eye(2), reading="as_stated"), "v: the printed statement starts"),
        (lambda: th.theorem_1_private([np.eye(2)], [np.eye(3)]), "y: 3 shared parameters .* but x has 2"),
        (lambda: th.theorem_1_private([], [np.eye(3)]), "x: no design blocks; give at least one sample"),
        (lambda: th.theorem_1_private([(np.eye(2), np.eye(3))], [np.eye(2)]), r"x\[0\] private: expected shape \(2, any\)"),
        (lambda: th.theorem_3_designs([np.eye(2)], [np.eye(2)], 2), r"m: must lie between 1 and 1 \(blocks of x\), got 2"),
        (lambda: th.lemma_4([]), "blocks: give at least one design block"),
        (lambda: th.lemma_4_scores(np.zeros((0, 2))), "scores: no draws"),
        (lambda: th.proposition_1({}, 1), "informations: give at least one modality"),
        (lambda: th.proposition_1({"x": [[1.0]]}, 2), "x: information has 1 rows, fewer than the 2 shared parameters"),
        (lambda: th.proposition_1_scores(np.zeros((40, 2)), np.zeros((40, 3))), r"scores_y: expected shape \(40, 2\)"),
        (lambda: th.proposition_1_scores(np.zeros((4, 2)), np.zeros((4, 2))), "4 draws are too few for z-scores"),
        (lambda: th.joint_variances([[1]], [[1]], (1.0, 0.0), [1]), r"noise_var: s_y\^2 must be positive and finite, got 0"),
    ],
)  # fmt: skip
def test_messages_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_statement_cites_the_paper_and_names_its_reading():
    for functions in th.STATEMENTS.values():
        for function in functions:
            assert "Gupta et al. 2025" in function.__doc__, function
            assert inspect.signature(function).parameters["reading"].default == "as_holds"


def test_documentation_names_existing_functions_tests_and_counterexamples():
    page = (Path(__file__).parent.parent / "docs" / "theory.md").read_text()
    sources = "\n".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py")))
    tests = set(re.findall(r"`(test_\w+)`", page))
    assert len(tests) >= 15
    for name in tests:
        assert f"def {name}(" in sources, name
    listed = {f.__name__ for functions in th.STATEMENTS.values() for f in functions}
    assert listed <= set(re.findall(r"`(\w+)`", page))
    for name in COUNTEREXAMPLES:
        assert f'"{name}"' in page, name


# --- badly scaled matrices: undecided, never wrong -----------------------------------------------------------------


@st.composite
def badly_scaled(draw, max_dim=6):
    """(M_X, M_Y, v): units spread over 1e10 or more, one addend up to 1e22 times the other, mixed and unmixed."""
    rng = np.random.default_rng(draw(seeds))
    d = draw(st.integers(1, max_dim))
    kind = draw(st.sampled_from(["diagonal", "integer", "generic", "commuting", "outer"]))
    common = 10.0 ** rng.uniform(0, draw(st.sampled_from([0.0, 3.0, 10.0])), d)
    own_units = draw(st.booleans())
    ratio = 10.0 ** draw(st.sampled_from([0.0, rng.uniform(-22, 22)]))
    frame = orthogonal(rng, d)
    pair = []
    for k in range(2):
        units = 10.0 ** rng.uniform(-10, 10, d) if own_units and kind == "generic" else common
        strengths = 10.0 ** rng.uniform(-12, 3, d) * rng.integers(0, 2, d)
        if kind == "diagonal" or (kind == "outer" and not k):
            m = np.diag(strengths)
        elif kind == "outer":
            m = np.outer(frame[0], frame[0])
        elif kind == "integer":
            root = rng.integers(-2, 3, (d, int(rng.integers(0, d + 1)))).astype(float)
            m = root @ root.T
        elif kind == "commuting":
            m = frame * 10.0 ** rng.uniform(-3, 3, d) * rng.integers(0, 2, d) @ frame.T
        else:
            m = random_psd(rng, d, int(rng.integers(0, d + 1)), 10.0 ** rng.uniform(0, 6))
        m = m * np.outer(units, units) * (ratio if k else 1.0)
        pair.append((m + m.T) / 2)
    if draw(st.booleans()):
        pair.reverse()
    v = draw(directions(*pair))
    which = draw(st.sampled_from(["as drawn", "axis", "axes", "frame"]))
    if which == "axis":
        v = np.eye(d)[int(rng.integers(d))]
    elif which == "axes":
        v = np.maximum(rng.integers(0, 2, d), np.eye(d)[int(rng.integers(d))])
    elif which == "frame":
        v = frame[:, int(rng.integers(d))]
    return pair[0], pair[1], v


@settings(max_examples=300)
@given(badly_scaled(), st.sampled_from([(1.0, 50.0), (1e10, 1.0), (1.0, 1e10)]))
def test_no_badly_scaled_pair_refutes_a_statement_as_it_holds(instance, noise_var):
    m_x, m_y, v = instance
    n = m_x + m_y
    verdicts = [function(m_x, m_y) for function in GLOBAL]
    verdicts += [function(m_x, m_y, v) for function in DIRECTIONAL]
    verdicts += [th.lemma_1(m_x, n), th.lemma_1(m_x, n, strict=False), th.lemma_2(m_x, n)]
    verdicts += [th.lemma_3(m_x, n, v), th.lemma_3_existence(m_x, n, v)]
    verdicts += [th.joint_fit_never_hurts(m_x, m_y, noise_var, v)]
    verdicts += [th.least_squares_is_mle(m_x, m_y, (noise_var[0],) * 2, v)]
    for verdict in verdicts:
        assert not verdict.refuted, verdict


@pytest.mark.parametrize("ratio", 10.0 ** np.arange(16, 31, 2))
def test_an_addend_that_drowns_in_the_sum_leaves_its_variances_undecided(ratio):
    w = np.array([-0.1, 0.3])
    gram = np.outer(w, w)
    for m_x, m_y in ((gram, np.diag([0.0, ratio])), (gram / ratio, np.diag([0.0, 1.0]))):
        assert not th.theorem_2_inside(m_x, m_y, gram @ [1.0, 2.0]).applies
        assert not th.Pair.of(m_x, m_y).ranks_agree
    rng = np.random.default_rng(0)
    for _ in range(20):
        w = rng.standard_normal(3)
        verdict = th.theorem_2_restricted(np.diag([0.1, 1 / ratio, 0.0]), np.outer(w, w), [1.0, 0.0, 0.0])
        assert not verdict.applies
    m = np.diag([1 / ratio, 1.0])
    assert not th.lemma_3(m, m + np.ones((2, 2)), [1.0, 1.0]).applies


def test_a_large_entry_elsewhere_does_not_make_an_eigenvector():
    for large in (1.0, 1e10, 1e20):
        assert not th.corollary_3(np.diag([large, 1, 2]), np.diag([0, 1, 1]), [0, 1, 1]).applies
        assert not th.corollary_1(np.diag([large, 1, 2]), np.diag([large, 1, 3]), [0, 1, 1]).applies
        assert_confirmed(th.corollary_3(np.diag([large, 2, 2]), np.diag([0, 1, 1]), [0, 1, 1]))
        assert_confirmed(th.corollary_1(np.diag([large, 2, 2]), np.diag([large, 3, 3]), [0, 1, 1]))


def test_variances_are_infinite_where_nobody_looks_in_any_unit():
    gram, nothing = np.diag([1e-18, 0.0]), np.zeros((2, 2))
    for v in ([4e5, 1e3], [1.0, 1e-30], [1e30, 1.0]):
        three = th.joint_variances(gram, nothing, (1.0, 1.0), v)
        assert three == th.JointVariances(np.inf, np.inf, np.inf)
    with pytest.raises(ValueError, match=r"noise_var: expected the pair \(s_x\^2, s_y\^2\), got 3 values"):
        th.joint_variances(gram, nothing, (1.0, 1.0, 1.0), [1.0, 0.0])
