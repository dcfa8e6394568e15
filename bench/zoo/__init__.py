"""Networks of known architecture with seeded weights, as ONNX files.

Batch norm is folded, as exporters do. Weights are drawn so that activations keep their scale, and
no trained weights are needed: speed depends on shapes and zeros alone.
"""

from collections.abc import Callable
from pathlib import Path

import onnx

from bench.zoo.attention import vit_tiny
from bench.zoo.sequence import gru_2x1024, lstm_2x1024
from bench.zoo.video import c3d, r2plus1d18
from bench.zoo.vision import (
    mobilenet_v1,
    mobilenet_v2,
    resnet18,
    resnet50,
    unet,
    vgg16,
    yolo,
)

ZOO: dict[str, Callable[[], onnx.ModelProto]] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vgg16": vgg16,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "unet": unet,
    "yolo": yolo,
    "c3d": c3d,
    "r2plus1d18": r2plus1d18,
    "gru_2x1024": gru_2x1024,
    "lstm_2x1024": lstm_2x1024,
    "vit_tiny": vit_tiny,
    "vit_tiny_masked90": lambda: vit_tiny(masked=0.9),
}


def write(name: str, folder: Path) -> Path:
    """Build network `name` into folder/NAME.onnx unless it is there already."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(ZOO[name](), path)
    return path
