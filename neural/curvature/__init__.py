"""Fisher information of a shared trunk: per modality and jointly, modality-specific parameters known or unknown.

    partition    which parameters are shared, which belong to one modality
    likelihood   what the outputs mean: Gaussian with known noise, or class logits
    fisher       exact, empirical and Monte-Carlo Fisher matrices, effective information (Schur complement)
    gains        Proposition 1 on a network, and what the other modality adds direction by direction
    products     the same for chosen directions of trunks that are too large for a matrix
    jacobian     per-sample Jacobians layer by layer, the reason why the exact matrix is cheap

Everything is about the parameters at which the network stands: local information, as in the linear theory of
`fisherkit` with the design replaced by the Jacobian.
"""

from neural.curvature.fisher import TrunkInformation as TrunkInformation
from neural.curvature.fisher import empirical_fisher as empirical_fisher
from neural.curvature.fisher import monte_carlo_fisher as monte_carlo_fisher
from neural.curvature.fisher import trunk_fisher as trunk_fisher
from neural.curvature.gains import Additivity as Additivity
from neural.curvature.gains import Gains as Gains
from neural.curvature.gains import additivity as additivity
from neural.curvature.gains import modality_gains as modality_gains
from neural.curvature.likelihood import Categorical as Categorical
from neural.curvature.likelihood import Gaussian as Gaussian
from neural.curvature.partition import Partition as Partition
from neural.curvature.products import DirectionalInformation as DirectionalInformation
from neural.curvature.products import JacobianOperator as JacobianOperator
from neural.curvature.products import directional_information as directional_information
