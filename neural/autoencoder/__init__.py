"""The shared autoencoder of the paper's Gaussian experiment (Gupta et al. 2025, E.14).

`model` is one network, written to be read; `batched` many of them in one tensor, with the gradient written out; `runs`
what a training is made of; `training` trains one, plainly, or many at once.
"""

from neural.autoencoder.model import Architecture as Architecture
from neural.autoencoder.model import SharedAutoencoder as SharedAutoencoder
from neural.autoencoder.model import mean_squared_errors as mean_squared_errors
from neural.autoencoder.model import uml_objective as uml_objective
