"""What is unpaired data from another modality worth? The linear-Gaussian theory, executable.

The public API, in the order in which questions are asked. Modules to import by name: `fisherkit.exchange`,
`fisherkit.exchange_fit` and `fisherkit.allocation` (what samples are worth, which to buy), `fisherkit.theorems`,
`fisherkit.certified` and `fisherkit.symbolic` (statements, proofs in floating point, exact arithmetic),
`fisherkit.chunked` and `fisherkit.cluster` (data beyond memory), `fisherkit.factor` (the world of the paper's Gaussian
experiment), `fisherkit.plots`.
"""

# the world
from fisherkit.model import LinearGaussian as LinearGaussian
from fisherkit.model import Modality as Modality
from fisherkit.layout import Layout as Layout
from fisherkit.worlds import blind_spot_model as blind_spot_model
from fisherkit.worlds import e14_model as e14_model
from fisherkit.worlds import random_model as random_model

# unpaired samples, and all that the likelihood knows of them
from fisherkit.samples import Samples as Samples
from fisherkit.simulation import simulate as simulate
from fisherkit.simulation import simulate_statistics as simulate_statistics
from fisherkit.statistics import Statistics as Statistics
from fisherkit.accumulation import accumulate as accumulate

# maximum likelihood
from fisherkit.estimation import Estimate as Estimate
from fisherkit.estimation import fit as fit
from fisherkit.regions import Region as Region

# Fisher information
from fisherkit.information import cramer_rao as cramer_rao
from fisherkit.information import effective_information as effective_information
from fisherkit.information import information as information
from fisherkit.information import information_by_modality as information_by_modality
from fisherkit.information import sample_information as sample_information
from fisherkit.information import schur_complement as schur_complement
from fisherkit.information import shared_information as shared_information
from fisherkit.psd import PSD as PSD

# the Loewner order
from fisherkit.loewner import Comparison as Comparison
from fisherkit.loewner import RangeInclusion as RangeInclusion
from fisherkit.loewner import Relation as Relation
from fisherkit.loewner import compare as compare
from fisherkit.loewner import range_inclusion as range_inclusion

# what can go wrong
from fisherkit.checks import UnknownNameError as UnknownNameError
from fisherkit.estimation import ConditioningWarning as ConditioningWarning
