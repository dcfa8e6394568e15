"""The tuner: for every layer the fastest correct way to run it on this machine, measured."""

from coexec.compiler.tune.cache import Tuning
from coexec.compiler.tune.choice import Candidate, Choice
from coexec.compiler.tune.effort import EFFORTS, Effort, checked_effort

__all__ = ["EFFORTS", "Candidate", "Choice", "Effort", "Tuning", "checked_effort"]
