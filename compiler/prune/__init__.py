"""Pruning by magnitude: rules, masks, and what pruning a graph cost."""

from coexec.compiler.prune.prune import PrunedWeight, PruneReport, prune
from coexec.compiler.prune.rule import PruneRule, parse_rule

__all__ = ["PruneReport", "PruneRule", "PrunedWeight", "parse_rule", "prune"]
