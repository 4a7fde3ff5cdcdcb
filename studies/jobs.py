"""The former place of `studies.paper.jobs`."""

from studies.paper.jobs import JOBS, Job

__all__ = ["JOBS", "Job"]
