"""The subcommands against the small server."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pytest

from coexec.clients import cli
from coexec.clients.codec import decode, encode
from coexec.clients.conftest import Fake
from coexec.clients.facts import top_text
from coexec.protos import coexec_pb2


def _run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers(required=True))
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


def test_models(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("models", "--address", fake[1]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "model   version  state  reason",
        "double  1        READY",
    ]
    assert _run("models", "--json", "--address", fake[1]) == 0
    (model,) = json.loads(capsys.readouterr().out)
    assert model == {"name": "double", "version": "1", "state": "READY", "reason": ""}


def test_load_and_unload(fake: Fake, tmp_path: Path) -> None:
    daemon, address = fake
    (tmp_path / "m.onnx").write_bytes(b"onnx")
    assert _run("load", "m", "--onnx", str(tmp_path / "m.onnx"), "--address", address) == 0
    assert daemon.requests[-1].parameters["file:1/model.onnx"].bytes_param == b"onnx"
    assert _run("load", "m", "--address", address) == 0
    assert not daemon.requests[-1].parameters
    assert _run("unload", "m", "--address", address) == 0
    assert _run("load", "m", "--onnx", str(tmp_path / "absent"), "--address", address) == 1


def test_infer_one_from_a_file(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake[0].output_shape = [3]
    np.save(tmp_path / "x.npy", np.array([1, 2, 3], np.float32))
    arguments = ["infer", "double", "--input", f"x={tmp_path}/x.npy", "--address", fake[1]]
    assert _run(*arguments, "--json", "--save", str(tmp_path / "y.npz")) == 0
    answer = json.loads(capsys.readouterr().out)["double"]
    assert answer["transport"] == "message"
    assert answer["outputs"]["y"] == {"dtype": "float32", "shape": [3], "values": [2, 4, 6]}
    assert np.load(tmp_path / "y.npz")["double.y"].tolist() == [2, 4, 6]
    assert _run(*arguments) == 0
    assert "y: float32[3] [2., 4., 6.]" in capsys.readouterr().out


def test_inputs_of_an_npz_file(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake[0].output_shape = [3]
    x, other = np.array([1, 2, 3], np.float32), np.zeros(3, np.float32)
    files = [tmp_path / "alone.npz", tmp_path / "named.npz", tmp_path / "none.npz"]
    np.savez(files[0], image=x)
    np.savez(files[1], x=x, y=other)
    np.savez(files[2], y=other, z=other)
    for file in files[:2]:
        assert _run("infer", "double", "--input", f"x={file}", "--address", fake[1]) == 0
        assert "[2., 4., 6.]" in capsys.readouterr().out
    assert _run("infer", "double", "--input", f"x={files[2]}", "--address", fake[1]) == 1
    assert "has no array named 'x'; it has y, z" in capsys.readouterr().err
    files[0].write_text("1 2 3")
    assert _run("infer", "double", "--input", f"x={files[0]}", "--address", fake[1]) == 1
    told = capsys.readouterr().err
    assert "alone.npz: no readable .npy or .npz file" in told
    assert "pickle" not in told
    np.savez_compressed(files[0], image=x)
    damaged = bytearray(files[0].read_bytes())
    damaged[damaged.index(b".npy") + 4 + damaged[28]] = 0xFF  # no kind of deflated block
    files[0].write_bytes(damaged)
    assert _run("infer", "double", "--input", f"x={files[0]}", "--address", fake[1]) == 1
    assert "alone.npz: no readable .npy or .npz file" in capsys.readouterr().err


def test_infer_several_at_random(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("infer", "double", "pair", "--input", "x=random", "--address", fake[1]) == 1
    assert "double" not in capsys.readouterr().out  # the fake takes one input, pair has two
    assert _run("infer", "double", "twice", "--json", "--address", fake[1]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert answers["double"]["outputs"] == answers["twice"]["outputs"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["double", "--input", "x"], "write NAME=FILE.npy"),
        (["double", "--input", "q=random"], "no input is called q; there are x"),
        (
            ["double", "--input", "x=/absent.npy"],
            "x=/absent.npy: no such file; write NAME=FILE",
        ),
        (["absent"], "model 'absent' is not known"),
    ],
)
def test_mistakes_are_told(
    fake: Fake, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert _run("infer", *extra, "--address", fake[1]) == 1
    assert message in capsys.readouterr().err


def test_waiting_is_for_what_can_become_ready(
    fake: Fake, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    daemon, address = fake
    patient = ("infer", "--wait", "60", "--address", address)

    def told(*models: str) -> str:
        started = time.monotonic()
        assert _run(*patient, *models) == 1
        assert time.monotonic() - started < 30
        return capsys.readouterr().err

    assert "model 'absent' is not known" in told("double", "absent")
    daemon.states["broken"] = ["UNAVAILABLE"]
    assert "broken" in told("broken")
    daemon.states["slow"] = ["LOADING", "LOADING", "READY"]
    assert _run(*patient, "slow") == 0
    daemon.ready_after = 3  # a daemon that starts knows nothing yet
    daemon.states["late"] = ["", "READY"]
    assert _run(*patient, "late") == 0
    nobody = f"unix:{tmp_path}/nobody.sock"
    assert _run("infer", "double", "--wait", "0.3", "--address", nobody) == 1
    assert "no daemon answers" in capsys.readouterr().err


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL", "INT64", "FP16", "BF16", "UINT8"])
def test_random_inputs_have_the_models_type(datatype: str) -> None:
    array = cli._random(datatype, (-1, 3), np.random.default_rng(0))
    assert array.shape == (1, 3)
    assert decode(datatype, (1, 3), encode(array)).dtype == array.dtype


def test_stats_reuse_and_top(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("stats", "double", "--json", "--address", fake[1]) == 0
    (stats,) = json.loads(capsys.readouterr().out)
    assert stats["inference_count"] == 3
    assert stats["inference_stats"]["success"] == {"count": 0, "ns": 0}
    assert _run("stats", "--address", fake[1]) == 0
    capsys.readouterr()
    assert _run("reuse", "--address", fake[1]) == 0
    text = capsys.readouterr().out
    assert "2.50 MB of weights and 1.500 s of computation saved" in text
    assert "a/1 + b/1                2   2000" in text
    assert _run("reuse", "--json", "--address", fake[1]) == 0
    assert json.loads(capsys.readouterr().out)["segments"][0]["hits"] == 9
    assert _run("top", "--count", "2", "--period", "0.1", "--address", fake[1]) == 0
    text = capsys.readouterr().out
    assert "lanes: cpu0 25%" in text
    assert "a/1     30.0        30" in text
    assert _run("top", "--address", fake[1]) == 1  # the fake stops after two
    assert "too many watchers" in capsys.readouterr().err


def test_top_tells_the_shapes_of_one_model_apart() -> None:
    now = coexec_pb2.Statistics()
    now.engine.now_us = 1
    for number, side in enumerate((96, 224), 1):
        program = now.engine.programs.add(model="any", version="1", program_id=number)
        program.inputs.extend([f"image f32[1, 3, {side}, {side}]", "scale f32[1]"])
    now.engine.programs.add(model="one", version="2", program_id=3, inputs=["x f32[4]"])
    now.engine.programs.add(model="one", version="1", program_id=4)
    rows = [line.split("  ")[0] for line in top_text(now, None).splitlines()[-4:]]
    assert rows == [
        "any/1 image f32[1, 3, 96, 96], scale f32[1]",
        "any/1 image f32[1, 3, 224, 224], scale f32[1]",
        "one/1",
        "one/2",
    ]


def test_top_compares_nothing_with_an_engine_that_is_gone() -> None:
    snapshots = [coexec_pb2.Statistics(engine_restarts=n) for n in (0, 0, 1)]
    for snapshot, now_us, requests in zip(snapshots, (5, 0, 9), (700, 0, 3), strict=True):
        snapshot.engine.now_us = now_us
        snapshot.engine.lanes.add(name="cpu0", busy_us=requests)
        snapshot.engine.programs.add(model="a", version="1", program_id=1, requests=requests)
    old, none, new = snapshots
    assert top_text(none, old) == "the engine is being started; engine restarts: 0"
    for before in (old, none, None):
        text = top_text(new, before)
        assert text.splitlines()[0] == "lanes: cpu0"
        assert text.splitlines()[-1].split()[:3] == ["a/1", "0.0", "3"]


def test_timeline_is_a_trace(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.json"
    assert _run("timeline", "-o", str(path), "--window", "0.25", "--address", fake[1]) == 0
    assert "2 steps written" in capsys.readouterr().out
    events = json.loads(path.read_text())["traceEvents"]
    assert [event["args"]["name"] for event in events[:2]] == ["cpu0", "cpu1"]
    assert [event["tid"] for event in events[2:]] == [1, 0]
    assert events[2]["dur"] == 250_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["timeline", "-o", "t", "--window", "-1"], "--window: '-1' is no number of seconds, 0"),
        (["infer", "m", "--wait", "-1"], "--wait: '-1' is no number of seconds, 0 or more"),
        (["infer", "m", "--wait", "inf"], "--wait: 'inf' is no number of seconds, 0 or more"),
        (["infer", "m", "--wait", "soon"], "--wait: 'soon' is no number of seconds, 0 or more"),
        (["infer", "m", "--deadline-us", "-5"], "--deadline-us: '-5' is no whole number, 0 or"),
        (["top", "--period", "nan"], "--period: 'nan' is no number of seconds, 0 or more"),
        (["top", "--count", "-1"], "--count: '-1' is no whole number, 0 or more"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as end:
        _run(*arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_files_that_cannot_be_written_are_named(
    fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake[0].output_shape = [1]
    for arguments in (
        ["infer", "double", "--save", "/absent/y.npz"],
        ["timeline", "-o", "/absent/y.npz"],
    ):
        assert _run(*arguments, "--address", fake[1]) == 1
        assert capsys.readouterr().err == "coexec: /absent/y.npz: No such file or directory\n"


def test_an_address_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("models", "--address", "nowhere") == 1
    assert "coexec: address is 'nowhere'; it must be unix:PATH" in capsys.readouterr().err


def test_every_command_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("models", "load", "unload", "infer", "stats", "top", "reuse", "timeline"):
        with pytest.raises(SystemExit) as end:
            _run(name, "--help")
        assert end.value.code == 0
        assert f"coexec {name}" in capsys.readouterr().out


def test_tls_without_a_file(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("models", "--tls", "--address", fake[1]) == 1
    assert "coexec: TLS fails with what listens at" in capsys.readouterr().err
