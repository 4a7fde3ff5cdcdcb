"""Exchange rates from measured accuracy: surfaces metric = f(n_x, n_y) fitted to rows (n_x, n_y, metric).

The paper's plane (Gupta et al. 2025, section 4.4 and E.4: "fitting a plane to the accuracy values given the
number of image and text shots"), a power law that saturates, and a surface that is only assumed to be
monotone. All three answer with the methods of `Surface`, as does the theory's
`fisherkit.exchange.ExchangeSurface`. How sure a rate is, and whether a surface describes the rows at all, is
asked of `bootstrap` and `lack_of_fit`; `describe` says it in words.
"""

from fisherkit.exchange_fit.inference import Interval as Interval
from fisherkit.exchange_fit.inference import LackOfFit as LackOfFit
from fisherkit.exchange_fit.inference import bootstrap as bootstrap
from fisherkit.exchange_fit.inference import describe as describe
from fisherkit.exchange_fit.inference import lack_of_fit as lack_of_fit
from fisherkit.exchange_fit.inference import words as words
from fisherkit.exchange_fit.monotone import Monotone as Monotone
from fisherkit.exchange_fit.monotone import fit_monotone as fit_monotone
from fisherkit.exchange_fit.parametric import Plane as Plane
from fisherkit.exchange_fit.parametric import PowerLaw as PowerLaw
from fisherkit.exchange_fit.parametric import fit_plane as fit_plane
from fisherkit.exchange_fit.parametric import fit_power_law as fit_power_law
from fisherkit.exchange_fit.rows import Rows as Rows
from fisherkit.exchange_fit.rows import Surface as Surface
