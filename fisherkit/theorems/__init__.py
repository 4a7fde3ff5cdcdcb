"""The theorems of Gupta et al. (2025), executable: hypotheses checked, both sides computed, a witness returned.

Each function takes matrices (or design blocks, or score draws), checks the hypotheses of one statement, computes
both sides of its conclusion and returns a `Verdict`. ``reading="as_stated"`` is the paper's wording; where that
needs another hypothesis, ``reading="as_holds"`` (the default) has it. `STATEMENTS` lists them; proofs are in
docs/theory.md and exact counterexamples in `fisherkit.symbolic`.
"""

from collections.abc import Callable

from fisherkit.theorems.additivity import proposition_1 as proposition_1
from fisherkit.theorems.additivity import proposition_1_scores as proposition_1_scores
from fisherkit.theorems.blind_spot import theorem_3 as theorem_3
from fisherkit.theorems.blind_spot import theorem_3_designs as theorem_3_designs
from fisherkit.theorems.corollaries import corollary_1 as corollary_1
from fisherkit.theorems.corollaries import corollary_2 as corollary_2
from fisherkit.theorems.corollaries import corollary_3 as corollary_3
from fisherkit.theorems.covariance import theorem_1_information as theorem_1_information
from fisherkit.theorems.covariance import theorem_1_private as theorem_1_private
from fisherkit.theorems.covariance import theorem_1_variance as theorem_1_variance
from fisherkit.theorems.designs import effective as effective
from fisherkit.theorems.designs import shared_gram as shared_gram
from fisherkit.theorems.direction import theorem_2_existence as theorem_2_existence
from fisherkit.theorems.direction import theorem_2_information as theorem_2_information
from fisherkit.theorems.direction import theorem_2_inside as theorem_2_inside
from fisherkit.theorems.direction import theorem_2_outside as theorem_2_outside
from fisherkit.theorems.direction import theorem_2_restricted as theorem_2_restricted
from fisherkit.theorems.least_squares import JointVariances as JointVariances
from fisherkit.theorems.least_squares import joint_fit_never_hurts as joint_fit_never_hurts
from fisherkit.theorems.least_squares import joint_variances as joint_variances
from fisherkit.theorems.least_squares import least_squares_is_mle as least_squares_is_mle
from fisherkit.theorems.lemmas import lemma_1 as lemma_1
from fisherkit.theorems.lemmas import lemma_2 as lemma_2
from fisherkit.theorems.lemmas import lemma_3 as lemma_3
from fisherkit.theorems.lemmas import lemma_3_existence as lemma_3_existence
from fisherkit.theorems.lemmas import lemma_4 as lemma_4
from fisherkit.theorems.lemmas import lemma_4_scores as lemma_4_scores
from fisherkit.theorems.pair import Pair as Pair
from fisherkit.theorems.results import RESOLVED as RESOLVED
from fisherkit.theorems.results import Reading as Reading
from fisherkit.theorems.results import Verdict as Verdict

#: Statement of the paper -> the functions that execute it.
STATEMENTS: dict[str, tuple[Callable[..., Verdict], ...]] = {
    "least squares = MLE": (least_squares_is_mle, joint_fit_never_hurts),
    "Lemma 1": (lemma_1,),
    "Lemma 2": (lemma_2,),
    "Lemma 3": (lemma_3, lemma_3_existence),
    "Lemma 4": (lemma_4, lemma_4_scores),
    "Theorem 1": (theorem_1_information, theorem_1_variance),
    "Theorem 1 with private parameters": (theorem_1_private,),
    "Theorem 2 (1)": (theorem_2_information,),
    "Theorem 2 (2), case 1": (theorem_2_outside,),
    "Theorem 2 (2), case 2": (theorem_2_inside, theorem_2_restricted, theorem_2_existence),
    "Corollary 1": (corollary_1,),
    "Corollary 2": (corollary_2,),
    "Corollary 3": (corollary_3,),
    "Theorem 3": (theorem_3, theorem_3_designs),
    "Proposition 1": (proposition_1, proposition_1_scores),
}
