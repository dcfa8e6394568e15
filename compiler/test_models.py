"""Real networks, where there are any: what of them is native, and do they compute the same?"""

import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from coexec.compiler.describe import random_inputs
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

_FOLDER = Path(os.environ.get("COEXEC_MODELS", "../shared/models")).resolve()
_MODELS = sorted(_FOLDER.glob("*.onnx"))
_SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "dnsmos_p808": {"input_1": (1, 900, 120)},
    "face_lm_model0_66pt": {"input": (1, 3, 224, 224)},
    "face_mnv3_detection": {"input": (1, 3, 224, 224)},
    "hand_keypoint_classifier": {"input": (1, 42)},
    "hand_point_history_lstm": {"input": (1, 32)},
    "ppocr_v2_cls": {"x": (1, 3, 48, 192)},
    "ppocr_v2_rec_en": {"x": (1, 3, 32, 320)},
    "ppocr_v3_det": {"x": (1, 3, 480, 640)},
    "silero_vad_v6_8k16k": {"input": (1, 576), "state": (2, 1, 128)},
}
# Control flow around everything: the whole of it runs in ONNX Runtime.
_WHOLE = ("silero_vad_v6_8k16k",)
_SMALL = ("dtln_stage1", "hand_keypoint_classifier", "hand_point_history_lstm", "policy_apollo")

pytestmark = pytest.mark.skipif(
    not _MODELS, reason=f"no models in {_FOLDER}; set COEXEC_MODELS to a folder with some"
)


def _options(path: Path) -> CompileOptions:
    return CompileOptions(shapes=_SHAPES.get(path.stem, {}), profile=False)


@pytest.mark.parametrize("path", _MODELS, ids=lambda path: path.stem)
def test_nearly_all_of_the_work_is_native(path: Path, tmp_path: Path) -> None:
    report = compile_model(path, tmp_path / "m.coexec", _options(path))
    assert not report.undone
    layers = format.load(report.target).program.layers
    foreign = [layer for layer in layers if layer.op == "OnnxRuntime"]
    if path.stem in _WHOLE:
        assert len(layers) == len(foreign) == 1
        return
    total = sum(layer.flops for layer in layers)
    why = "\n".join(layer.why_not_native for layer in foreign)
    assert sum(layer.flops for layer in foreign) <= 0.05 * total, why


@pytest.mark.parametrize("path", [p for p in _MODELS if p.stem in _SMALL], ids=lambda p: p.stem)
def test_small_ones_compute_what_onnxruntime_does(path: Path, tmp_path: Path) -> None:
    compile_model(path, tmp_path / "m.coexec", _options(path))
    model = format.load(tmp_path / "m.coexec")
    feed = random_inputs(model.program)
    got = Runner(model).run(feed)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for name, want in zip(names, session.run(names, feed), strict=True):
        np.testing.assert_allclose(got[name], np.asarray(want), rtol=1e-3, atol=1e-5)
