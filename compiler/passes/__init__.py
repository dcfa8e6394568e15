"""The passes, in the order they run. Each changes the graph in place and reports what it did.

Pruning, when asked for, comes between REWRITES and LAYOUTS: fused weights are what kernels see. The
tuner comes before FINISH, since a layer's digest tells the layouts of its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coexec.compiler.ir import Graph
from coexec.compiler.ir.verify import verify
from coexec.compiler.passes import (
    digest,
    drop_dead,
    drop_fake_quantize,
    drop_identity,
    fold_constants,
    fold_reshape,
    fold_transpose,
    fuse_activation,
    fuse_batch_norm,
    fuse_bias,
    fuse_pad,
    fuse_residual,
    own_weights,
    recognize_activation,
    recognize_attention,
    recognize_fake_quantize,
    recognize_layer_norm,
    sparsify,
    tabulate,
    use_integers,
)
from coexec.compiler.passes.rewrite import PassReport

Pass = Callable[[Graph], PassReport]

REWRITES: tuple[Pass, ...] = (
    fold_constants.run,
    drop_dead.run,
    fold_reshape.run,
    fold_transpose.run,
    drop_identity.run,
    recognize_fake_quantize.run,
    recognize_activation.run,  # while the constants it looks for are not in a bias yet
    recognize_layer_norm.run,
    recognize_attention.run,
    drop_dead.run,  # what they left over must not count as a reader
    fuse_pad.run,
    fuse_bias.run,  # before the normalisation, which takes the bias with it
    fuse_batch_norm.run,
    fuse_bias.run,  # what was added after it
    fuse_residual.run,
    use_integers.run,  # when no more weights are made anew
    drop_fake_quantize.run,
    tabulate.run,
    drop_dead.run,  # parts of what it tabulated
    drop_fake_quantize.run,
    fuse_activation.run,
    drop_dead.run,
)
LAYOUTS: tuple[Pass, ...] = (own_weights.run, sparsify.run)
FINISH: tuple[Pass, ...] = (digest.run,)
PASSES: tuple[Pass, ...] = REWRITES + LAYOUTS + FINISH


def run_passes(
    graph: Graph, passes: Sequence[Pass] = PASSES, *, verified: bool = False
) -> list[PassReport]:
    """Runs the passes on the graph. With verified, the graph is checked before the first and
    after each, which raises IrError."""
    if verified:
        verify(graph, "imported")
    reports = []
    for one in passes:
        report = one(graph)
        reports.append(report)
        if verified:
            _verify_after(graph, report.name)
    return reports


def _verify_after(graph: Graph, name: str) -> None:
    # Fused parts stay until drop_dead takes them, so only from there is nothing unreachable.
    stage = {"digest": "digested", "sparsify": "rewritten", "drop_dead": "rewritten"}
    verify(graph, stage.get(name, "imported"))


__all__ = ["FINISH", "LAYOUTS", "PASSES", "REWRITES", "Pass", "PassReport", "run_passes"]
