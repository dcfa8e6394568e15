"""A model made concrete and small before its nodes are converted: input shapes bound, functions
inlined, constants folded, batch normalisations folded into convolutions."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx.inliner

from coexec.compiler.onnx_import.signature import Shape


def prepare(model: onnx.ModelProto, shapes: Mapping[str, Shape]) -> onnx.ModelProto:
    """A new model that computes the same for inputs of the given shapes. The optimiser's result
    is taken only when ONNX's checker finds it sound and it still has the same face."""
    # Here, since importing it takes a second, and most commands need none of it.
    from coexec.compiler.onnx_import.optimise import optimised

    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    _drop_defaulted_inputs(bound.graph)
    _bind(bound.graph, shapes)
    _lift_constants(bound.graph)
    try:
        smaller = optimised(bound)
        onnx.checker.check_model(smaller)
    except Exception:  # a third party's rewriting must not cost us the model
        return _inlined(bound)
    return smaller if _face(smaller) == _face(bound) else _inlined(bound)


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.functions:
        return model
    result: onnx.ModelProto = onnx.inliner.inline_local_functions(model)
    return result


def _face(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    return [i.name for i in model.graph.input], [o.name for o in model.graph.output]


def _drop_defaulted_inputs(graph: onnx.GraphProto) -> None:
    """Inputs with an initializer are constants; as inputs they would hinder folding."""
    stored = {tensor.name for tensor in graph.initializer}
    kept = [info for info in graph.input if info.name not in stored]
    del graph.input[:]
    graph.input.extend(kept)


def _bind(graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> None:
    for info in graph.input:
        if info.name in shapes:
            tensor = info.type.tensor_type
            tensor.ClearField("shape")
            tensor.shape.SetInParent()
            for size in shapes[info.name]:
                tensor.shape.dim.add(dim_value=size)
    # Declared shapes inside may hold for the exporter's own sizes only; ours are inferred anew.
    del graph.value_info[:]
    for position, info in enumerate(graph.output):
        if info.type.WhichOneof("value") == "tensor_type":
            for axis, dim in enumerate(info.type.tensor_type.shape.dim):
                dim.dim_param = f"output_{position}_{axis}"


def _lift_constants(graph: onnx.GraphProto) -> None:
    """Constant nodes become initializers: the optimiser folds batch normalisation into
    convolutions only where the weights are initializers."""
    results = {info.name for info in graph.output}
    kept = []
    for node in graph.node:
        tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type != "Constant" or tensor is None or node.output[0] in results:
            kept.append(node)
            continue
        lifted = graph.initializer.add()
        lifted.CopyFrom(tensor)
        lifted.name = node.output[0]
    if len(kept) != len(graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        del graph.node[:]
        graph.node.extend(nodes)
