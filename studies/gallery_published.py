"""The former place of `studies.paper.printed`."""

from studies.paper.printed import gains_printed, three_modalities_printed, words_printed

__all__ = ["gains_printed", "three_modalities_printed", "words_printed"]
