"""ONNX to layer IR."""

from coexec.compiler.onnx_import.importer import Imported, Item, import_model
from coexec.compiler.onnx_import.read import Source, read_model
from coexec.compiler.onnx_import.signature import (
    Signature,
    TensorSpec,
    read_signature,
    signature_of,
)

__all__ = [
    "Imported",
    "Item",
    "Signature",
    "Source",
    "TensorSpec",
    "import_model",
    "read_model",
    "read_signature",
    "signature_of",
]
