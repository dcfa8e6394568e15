"""Resize and its forerunner Upsample."""

from __future__ import annotations

import math

import numpy as np

from coexec.compiler.ir.graph import AttrValue, Value
from coexec.compiler.onnx_import.node import Converter, Node, NotNative, normal_axes


def resize(node: Node) -> list[Value | None]:
    mode = node.text_attr("mode", "nearest")
    if node.opset < 11:
        given = _old_scales(node)
        between = _old_nearest(given) if mode == "nearest" else "floor"
        return [_emit(node, mode, "asymmetric", between, given, None)]
    for name, refused in (("antialias", 1), ("exclude_outside", 1)):
        if node.int_attr(name, 0) == refused:
            raise NotNative(f"it sets {name}")
    if node.text_attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotNative("it keeps the aspect ratio")
    coordinates = node.text_attr("coordinate_transformation_mode", "half_pixel")
    nearest = node.text_attr("nearest_mode", "round_prefer_floor")
    if coordinates == "tf_crop_and_resize":
        raise NotNative("it resizes a region of interest")
    scales, sizes = node.known(2, "scales"), node.known(3, "sizes")
    shape = node.shape(0)
    axes = node.ints_attr("axes", range(len(shape)))
    axes = normal_axes(axes, len(shape))
    full_scales = [1.0] * len(shape)
    wanted = list(shape)
    if sizes is not None and sizes.size:
        for axis, size in zip(axes, sizes.reshape(-1), strict=True):
            wanted[axis] = int(size)
            full_scales[axis] = int(size) / shape[axis]
        return [_emit(node, mode, coordinates, nearest, full_scales, tuple(wanted))]
    if scales is None or scales.size != len(axes):
        raise NotNative("it has neither scales nor sizes for every axis")
    for axis, scale in zip(axes, scales.reshape(-1), strict=True):
        full_scales[axis] = float(scale)
    return [_emit(node, mode, coordinates, nearest, full_scales, None)]


def upsample(node: Node) -> list[Value | None]:
    mode = node.text_attr("mode", "nearest")
    return [_emit(node, mode, "asymmetric", "floor", _old_scales(node), None)]


def _old_scales(node: Node) -> list[float]:
    if node.has("scales"):
        return node.floats_attr("scales")
    known = node.known(1, "scales")
    if known is None:
        raise NotNative("it has no scales")
    return [float(s) for s in known.reshape(-1)]


def _old_nearest(scales: list[float]) -> str:
    """ONNX does not say which element opset 10 takes between two; ONNX Runtime takes the lower one
    when a dim grows and the upper one when it shrinks."""
    shrinks = any(scale < 1.0 for scale in scales)
    if shrinks and any(scale > 1.0 for scale in scales):
        raise NotNative(f"one dim shrinks and another grows, by {scales}")
    return "ceil" if shrinks else "floor"


def _emit(
    node: Node,
    mode: str,
    coordinates: str,
    nearest: str,
    scales: list[float],
    wanted: tuple[int, ...] | None,
) -> Value:
    x = node.input(0)
    shape = x.type.shape
    mode = {"bilinear": "linear"}.get(mode, mode)
    if mode not in ("nearest", "linear"):
        raise NotNative(f"no native kernel for its mode {mode}")
    if len(scales) != len(shape):
        raise NotNative(f"{len(scales)} scales for a tensor of rank {len(shape)}")
    if wanted is None:
        # As ONNX Runtime: the product in f32, rounded down.
        wanted = tuple(
            math.floor(np.float32(d) * np.float32(s)) for d, s in zip(shape, scales, strict=True)
        )
    if wanted == shape and all(scale == 1.0 for scale in scales):
        return x
    if wanted[:2] != shape[:2]:
        raise NotNative("it scales more than the spatial dims")
    attrs: dict[str, AttrValue] = {
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": nearest,
        "scales": scales,
    }
    result = node.emit("Resize", [x], attrs)
    if result.type.shape != wanted:
        raise NotNative(f"its scales {scales} give {result.type.shape}, ONNX says {wanted}")
    return result


CONVERTERS: dict[str, Converter] = {"Resize": resize, "Upsample": upsample}
