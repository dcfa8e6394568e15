"""Networks for video: 3-D convolutions over 16 frames of 112x112."""

import onnx

from bench.zoo.builder import Builder


def c3d(seed: int = 0) -> onnx.ModelProto:
    """Tran et al. 2015, figure 3: eight convolutions of 3x3x3, 487 classes (Sports-1M)."""
    b = Builder("c3d", [1, 3, 16, 112, 112], seed)
    x, cin = "input", 3
    for stage, widths in enumerate([[64], [128], [256, 256], [512, 512], [512, 512]]):
        for width in widths:
            x, cin = b.relu(b.conv3d(x, cin, width, (3, 3, 3))), width
        window = [1, 2, 2] if stage == 0 else [2, 2, 2]
        last = [0, 0, 0, 0, 1, 1] if stage == 4 else [0] * 6
        x = b.node("MaxPool", [x], kernel_shape=window, strides=window, pads=last)
    x = b.node("Flatten", [x])
    for width, units in [(8192, 4096), (4096, 4096)]:
        x = b.relu(b.gemm(x, width, units))
    return b.finish(b.gemm(x, 4096, 487))


def r2plus1d18(seed: int = 0) -> onnx.ModelProto:
    """Tran et al. 2018, R(2+1)D with 18 layers: each 3x3x3 convolution as one over space and one
    over time, with as many weights between them as it had."""
    b = Builder("r2plus1d18", [1, 3, 16, 112, 112], seed)

    def factored(x: str, cin: int, cout: int, stride: int, gain: float) -> str:
        between = 27 * cin * cout // (9 * cin + 3 * cout)
        x = b.relu(b.conv3d(x, cin, between, (1, 3, 3), (1, stride, stride)))
        return b.conv3d(x, between, cout, (3, 1, 1), (stride, 1, 1), gain)

    x = b.relu(b.conv3d("input", 3, 45, (1, 7, 7), (1, 2, 2)))
    x, cin = b.relu(b.conv3d(x, 45, 64, (3, 1, 1))), 64
    for stage in range(4):
        width = 64 << stage
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            y = b.relu(factored(x, cin, width, stride, 2))
            y = factored(y, width, width, 1, 0.5)
            skip = b.conv3d(x, cin, width, (1, 1, 1), (stride,) * 3, 1) if cin != width else x
            x, cin = b.relu(b.node("Add", [y, skip])), width
    return b.finish(b.classifier(x, cin, 400))
