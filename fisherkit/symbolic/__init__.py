"""The same quantities over exact rationals, with SymPy: no floating point, no tolerance.

Importing this package imports SymPy; `import fisherkit` does not. `derive` goes from the log-likelihood of a small
linear-Gaussian model to its score, Hessian, information and maximum-likelihood estimator by differentiation;
`COUNTEREXAMPLES` holds every instance that refutes a statement in its stronger reading, with its exact verification.
"""

from fisherkit.symbolic.counterexamples import COUNTEREXAMPLES as COUNTEREXAMPLES
from fisherkit.symbolic.counterexamples import Counterexample as Counterexample
from fisherkit.symbolic.likelihood import Derivation as Derivation
from fisherkit.symbolic.likelihood import SymbolicModality as SymbolicModality
from fisherkit.symbolic.likelihood import derive as derive
from fisherkit.symbolic.likelihood import information_blocks as information_blocks
from fisherkit.symbolic.rational import as_rational as as_rational
from fisherkit.symbolic.rational import in_range as in_range
from fisherkit.symbolic.rational import inertia as inertia
from fisherkit.symbolic.rational import parallel_sum as parallel_sum
from fisherkit.symbolic.rational import pseudoinverse as pseudoinverse
from fisherkit.symbolic.rational import rank as rank
from fisherkit.symbolic.rational import relation as relation
from fisherkit.symbolic.rational import schur_complement as schur_complement
from fisherkit.symbolic.rational import variance as variance
