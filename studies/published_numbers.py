"""The former place of `studies.paper.published`, kept for imports that are documented."""

from studies.paper.published import (
    INCONSISTENCIES,
    PRINTED_ENCODERS,
    TABLES,
    Inconsistency,
    published,
    reference,
)

__all__ = ["INCONSISTENCIES", "PRINTED_ENCODERS", "TABLES", "Inconsistency", "published", "reference"]
