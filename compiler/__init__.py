"""ONNX to layers to a compiled model: import, passes, pruning."""
