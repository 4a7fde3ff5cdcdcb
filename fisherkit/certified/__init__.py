"""Proofs of the Loewner order in floating point: what is claimed here is a theorem about the matrices given.

`fisherkit.loewner.compare` decides with a tolerance; `certify` proves, refutes with a verified witness, or
says that it cannot tell. Inputs are computed numbers, so they carry a radius (`Enclosed`). The bounds are
derived in docs/certified.md. Importing this package imports neither SciPy nor python-flint; calls do where
they need them.
"""

from fisherkit.certified.allocation_proof import AllocationCertificate as AllocationCertificate
from fisherkit.certified.allocation_proof import certify_allocation as certify_allocation
from fisherkit.certified.enclosure import Enclosed as Enclosed
from fisherkit.certified.estimable import Estimability as Estimability
from fisherkit.certified.estimable import certify_estimable as certify_estimable
from fisherkit.certified.exact import exact_inertia as exact_inertia
from fisherkit.certified.image import ExactModel as ExactModel
from fisherkit.certified.model_order import certify_model as certify_model
from fisherkit.certified.order import certify as certify
from fisherkit.certified.order import certify_growth as certify_growth
from fisherkit.certified.order import certify_positive_definite as certify_positive_definite
from fisherkit.certified.schur import enclosed_schur_complement as enclosed_schur_complement
from fisherkit.certified.verdict import Certificate as Certificate
from fisherkit.certified.verdict import Status as Status
