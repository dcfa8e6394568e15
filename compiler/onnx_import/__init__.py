"""ONNX to layer IR."""

from coexec.compiler.onnx_import.importer import Imported, Item, WholeModelError, import_model
from coexec.compiler.onnx_import.preparation import prepare
from coexec.compiler.onnx_import.read import Source, read_model
from coexec.compiler.onnx_import.signature import (
    Shape,
    Signature,
    TensorSpec,
    read_signature,
    signature_of,
)

__all__ = [
    "Imported",
    "Item",
    "Shape",
    "Signature",
    "Source",
    "TensorSpec",
    "WholeModelError",
    "import_model",
    "prepare",
    "read_model",
    "read_signature",
    "signature_of",
]
