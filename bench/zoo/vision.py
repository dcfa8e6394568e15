"""Convolutional networks: classifiers, a segmenter, a detector."""

from itertools import pairwise

import numpy as np
import onnx

from bench.zoo.builder import Builder


def resnet50(seed: int = 0) -> onnx.ModelProto:
    """He et al. 2015; bottleneck blocks with the stride on the 3x3 convolution."""
    b = Builder("resnet50", [1, 3, 224, 224], seed)
    x = b.relu(b.conv("input", 3, 64, 7, 2))
    x = b.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    cin = 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            y = b.relu(b.conv(x, cin, width, 1))
            y = b.relu(b.conv(y, width, width, 3, stride))
            y = b.conv(y, width, width * 4, 1, gain=0.5)
            skip = b.conv(x, cin, width * 4, 1, stride, gain=1) if block == 0 else x
            x = b.relu(b.node("Add", [y, skip]))
            cin = width * 4
    return b.finish(b.classifier(x, cin, 1000))


def resnet18(seed: int = 0) -> onnx.ModelProto:
    """He et al. 2015; basic blocks of two 3x3 convolutions."""
    b = Builder("resnet18", [1, 3, 224, 224], seed)
    x = b.relu(b.conv("input", 3, 64, 7, 2))
    x = b.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    cin = 64
    for stage in range(4):
        width = 64 << stage
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            y = b.conv(b.relu(b.conv(x, cin, width, 3, stride)), width, width, 3, gain=0.5)
            skip = b.conv(x, cin, width, 1, stride, gain=1) if cin != width else x
            x = b.relu(b.node("Add", [y, skip]))
            cin = width
    return b.finish(b.classifier(x, cin, 1000))


def vgg16(seed: int = 0) -> onnx.ModelProto:
    """Simonyan and Zisserman 2014, configuration D."""
    b = Builder("vgg16", [1, 3, 224, 224], seed)
    x, cin = "input", 3
    for width, layers in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(layers):
            x, cin = b.relu(b.conv(x, cin, width, 3)), width
        x = b.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Flatten", [x])
    for width in (512 * 7 * 7, 4096):
        x = b.relu(b.gemm(x, width, 4096))
    return b.finish(b.gemm(x, 4096, 1000))


def mobilenet_v1(seed: int = 0) -> onnx.ModelProto:
    """Howard et al. 2017, table 1, width 1.0."""
    b = Builder("mobilenet_v1", [1, 3, 224, 224], seed)
    x = b.relu6(b.conv("input", 3, 32, 3, 2))
    cin = 32
    table = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    table += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    for cout, stride in table:
        x = b.relu6(b.conv(x, cin, cin, 3, stride, group=cin))
        x = b.relu6(b.conv(x, cin, cout, 1))
        cin = cout
    return b.finish(b.classifier(x, cin, 1000))


def mobilenet_v2(seed: int = 0, head_seed: int | None = None) -> onnx.ModelProto:
    """Sandler et al. 2018, table 2, width 1.0. Another head_seed: another head, same backbone."""
    b = Builder("mobilenet_v2", [1, 3, 224, 224], seed)
    x = b.relu6(b.conv("input", 3, 32, 3, 2))
    cin = 32
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
             (6, 160, 3, 2), (6, 320, 1, 1)]  # fmt: skip
    for expand, cout, repeats, first_stride in table:
        for i in range(repeats):
            stride, hidden = (first_stride if i == 0 else 1), cin * expand
            y = b.relu6(b.conv(x, cin, hidden, 1)) if expand > 1 else x
            y = b.relu6(b.conv(y, hidden, hidden, 3, stride, group=hidden))
            y = b.conv(y, hidden, cout, 1, gain=1)
            x = b.node("Add", [x, y]) if stride == 1 and cin == cout else y
            cin = cout
    x = b.relu6(b.conv(x, cin, 1280, 1))
    if head_seed is not None:
        b.reseed(head_seed)
    return b.finish(b.classifier(x, 1280, 1000))


def unet(seed: int = 0) -> onnx.ModelProto:
    """Ronneberger et al. 2015, figure 1, with padded convolutions, a quarter of the channels and a
    128x128 picture: what a segmenter on a device looks like."""
    b = Builder("unet", [1, 3, 128, 128], seed)

    def two(x: str, cin: int, cout: int) -> str:
        return b.relu(b.conv(b.relu(b.conv(x, cin, cout, 3)), cout, cout, 3))

    widths = [16, 32, 64, 128, 256]
    skips = [two("input", 3, widths[0])]
    for cin, cout in pairwise(widths):
        pooled = b.node("MaxPool", [skips[-1]], kernel_shape=[2, 2], strides=[2, 2])
        skips.append(two(pooled, cin, cout))
    x = skips.pop()
    for cout, cin in pairwise(reversed(widths)):
        up = b.up_conv(x, cout, cin)
        x = two(b.node("Concat", [skips.pop(), up], axis=1), 2 * cin, cin)
    return b.finish(b.conv(x, widths[0], 2, 1, gain=1))


def yolo(seed: int = 0) -> onnx.ModelProto:
    """A one-stage detector of the YOLO kind at 320x320: a backbone of split and merged
    residual stages with SiLU, two resized and concatenated scales, three heads."""
    b = Builder("yolo", [1, 3, 320, 320], seed)

    def conv(x: str, cin: int, cout: int, k: int, stride: int = 1) -> str:
        return b.silu(b.conv(x, cin, cout, k, stride))

    def stage(x: str, width: int) -> str:
        half = width // 2
        kept, y = conv(x, width, half, 1), conv(x, width, half, 1)
        y = b.node("Add", [y, conv(conv(y, half, half, 1), half, half, 3)])
        return conv(b.node("Concat", [kept, y], axis=1), width, width, 1)

    scales = [b.silu(b.conv("input", 3, 16, 3, 2))]
    for width in (32, 64, 128, 256):
        scales.append(stage(conv(scales[-1], width // 2, width, 3, 2), width))
    heads = [scales.pop()]
    for width in (128, 64):
        up = b.upsample(conv(heads[-1], 2 * width, width, 1))
        merged = b.node("Concat", [up, scales.pop()], axis=1)
        heads.append(stage(conv(merged, 2 * width, width, 1), width))
    classes = 80
    flat = []
    for x, width in zip(heads, (256, 128, 64), strict=True):
        y = b.conv(conv(x, width, 64, 3), 64, 5 + classes, 1, gain=1)
        shape = b.constant("flat", np.array([1, 5 + classes, -1], np.int64))
        flat.append(b.node("Reshape", [y, shape]))
    return b.finish(b.node("Sigmoid", [b.node("Concat", flat, axis=2)]))
