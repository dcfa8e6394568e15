"""Every real network through one daemon, compared with ONNX Runtime.

    python -m bench.real_models [--json FILE]

All models of ../shared/models (or COEXEC_MODELS) are loaded together and called through
tritonclient. The table gives the largest difference from ONNX Runtime, relative to the output's
largest magnitude, and the share of floating-point operations that run natively. Exits 1 when a
model fails or differs by more than its tolerance.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from bench.inputs import inputs_for, models_folder
from bench.serving import repository, serve
from coexec.kernels.program import format

TOLERANCE = 1e-3
# Looser tolerances, each with its reason.
_SIGMOID = "obj_* are sigmoids below 1e-4, and ONNX Runtime's own error there is 1.2e-7 absolute"
_YUNETS = ("face_yunet_n_320", "face_yunet_n_640", "face_yunet_s_320")
TOLERANCES = dict.fromkeys(_YUNETS, (0.02, _SIGMOID))


@dataclass(frozen=True, slots=True)
class Row:
    """One model's outcome. relative_error is against the output's largest magnitude."""

    model: str
    relative_error: float
    native_flops: float
    native_layers: int
    layers: int
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error and self.relative_error <= tolerance(self.model)


def tolerance(model: str) -> float:
    return TOLERANCES.get(model, (TOLERANCE, ""))[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    paths = sorted(models_folder().glob("*.onnx"))
    if not paths:
        sys.exit(f"no models in {models_folder()}; set COEXEC_MODELS")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(paths, Path(folder))
    for row in rows:
        print(
            f"{row.model:44}{row.relative_error:10.1e}{row.native_flops:8.1%}"
            f"{row.native_layers:6}/{row.layers:<5} {'ok' if row.ok else 'FAILED ' + row.error}"
        )
    print(f"{sum(row.ok for row in rows)} of {len(rows)} models agree with ONNX Runtime")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return 0 if all(row.ok for row in rows) else 1


def measure(paths: list[Path], folder: Path) -> list[Row]:
    """Load all models in one daemon, then call each."""
    models = repository(folder / "models", {path.stem: path for path in paths})
    with (
        serve(folder / "daemon", "--model-repository", str(models)) as daemon,
        daemon.client() as client,
    ):
        return [_compare(client, path, folder / "daemon" / "state") for path in paths]


def _compare(client: triton.InferenceServerClient, path: Path, state: Path) -> Row:
    feed = inputs_for(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    want = dict(zip(names, session.run(names, feed), strict=True))
    try:
        got = infer(client, path.stem, feed, names)
    except Exception as error:
        return Row(path.stem, float("nan"), 0, 0, 0, str(error)[:200])
    error = max(_relative(got[name], want[name]) for name in names)
    return Row(path.stem, error, *native_share(path.stem, state))


def infer(
    client: triton.InferenceServerClient, model: str, feed: dict[str, Any], outputs: list[str]
) -> dict[str, Any]:
    """One call; arrays by output name."""
    inputs = []
    for name, array in feed.items():
        tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    result = client.infer(model, inputs)
    return {name: result.as_numpy(name) for name in outputs}


def _relative(got: Any, want: Any) -> float:
    if got is None or got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if want.size == 0:
        return 0.0
    scale = float(np.abs(want.astype(np.float64)).max()) or 1.0
    error = float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max()) / scale
    return float("inf") if np.isnan(error) else error  # max() over outputs would lose a NaN


def native_share(model: str, state: Path) -> tuple[float, int, int]:
    """Native share of flops, native layers, layers, from the daemon's compiled cache."""
    for compiled in state.rglob("*.coexec"):
        program = format.load(compiled).program
        if program.name == model:
            native = [layer for layer in program.layers if layer.op != "OnnxRuntime"]
            total = sum(layer.flops for layer in program.layers)
            share = sum(layer.flops for layer in native) / total if total else 0.0
            return share, len(native), len(program.layers)
    return 0.0, 0, 0


if __name__ == "__main__":
    sys.exit(main())
