"""Optimal allocation: which samples to buy for a budget, for a target precision, or next.

`allocate` answers for a model, `allocate_information` for any information per sample, `next_sample` the question after
the paper's Theorem 2: "I can afford N more samples: of which modality?" Every answer carries a certificate of
optimality that does not rest on a solver.
"""

from fisherkit.allocation.errors import InfeasibleError as InfeasibleError
from fisherkit.allocation.errors import NonConvexError as NonConvexError
from fisherkit.allocation.errors import NotEstimableError as NotEstimableError
from fisherkit.allocation.errors import SolverError as SolverError
from fisherkit.allocation.planning import allocate as allocate
from fisherkit.allocation.planning import allocate_information as allocate_information
from fisherkit.allocation.result import Allocation as Allocation
from fisherkit.allocation.result import NextSample as NextSample
from fisherkit.allocation.sequential import next_sample as next_sample
