"""Inputs for real networks: pictures and sound where they fit, seeded noise elsewhere."""

import os
import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

Array = npt.NDArray[Any]

_DTYPES = {
    "tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}  # fmt: skip

# Shapes for dynamic dimensions, by file name; from the table in the models' README.
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
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


def models_folder() -> Path:
    """Where the real networks lie: COEXEC_MODELS, or ../shared/models."""
    return Path(os.environ.get("COEXEC_MODELS", "../shared/models")).resolve()


def inputs_for(path: Path, seed: int = 0) -> dict[str, Array]:
    """One set of inputs for the ONNX file at `path`, by input name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    feed = {}
    for info in session.get_inputs():
        fixed = SHAPES.get(path.stem, {}).get(info.name)
        shape = fixed or tuple(d if isinstance(d, int) and d > 0 else 1 for d in info.shape)
        feed[info.name] = _array(info.name, shape, _DTYPES[info.type], rng)
    return feed


def _array(name: str, shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> Array:
    if name == "sr":
        return np.array(16000, dtype)
    if dtype != np.float32:
        return rng.integers(0, 2, shape).astype(dtype)
    if len(shape) == 4 and (3 in (shape[1], shape[3]) or shape[1] == 1):
        picture = _picture(shape, int(rng.integers(0, 50)))
        if picture is not None:
            return picture
    if len(shape) == 2 and shape[1] in (512, 576):
        sound = _sound(shape[1])
        if sound is not None:
            return sound
    return rng.standard_normal(shape).astype(np.float32)


def _picture(shape: tuple[int, ...], frame: int) -> Array | None:
    """A video frame scaled to [0, 1], channels first or last as the shape has them."""
    path = models_folder().parent / "datasets/video/head-pose-face-detection-female-and-male.gif"
    if not path.exists():
        return None
    last = shape[3] in (1, 3)
    height, width, channels = shape[1:] if last else (*shape[2:], shape[1])
    with Image.open(path) as video:
        video.seek(frame % getattr(video, "n_frames", 1))
        picture = video.convert("RGB" if channels == 3 else "L").resize((width, height))
    pixels = np.asarray(picture, np.float32).reshape(height, width, channels) / 255
    batch = np.broadcast_to(pixels if last else pixels.transpose(2, 0, 1), shape)
    return np.ascontiguousarray(batch)


@cache
def _sound(samples: int) -> Array | None:
    """One window of speech in [-1, 1]."""
    path = models_folder().parent / "datasets/speech/silero_test_60s.wav"
    if not path.exists():
        return None
    with wave.open(str(path)) as file:
        file.setpos(16000 * 5)
        raw = np.frombuffer(file.readframes(samples), np.int16)
    return (raw.astype(np.float32) / 32768)[None, :samples]
