"""Pruning: rules, masks, least-squares reconstruction, rates searched for a target, and what
pruning a graph cost."""

from coexec.compiler.prune.prune import prune
from coexec.compiler.prune.report import PrunedWeight, PruneReport
from coexec.compiler.prune.rule import PruneRule, Target, parse_rule

__all__ = ["PruneReport", "PruneRule", "PrunedWeight", "Target", "parse_rule", "prune"]
