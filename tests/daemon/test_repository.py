"""Index, load, unload, versions, configuration, overrides, state."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from coexec.kernels.program import format

from . import networks
from .conftest import Daemon, running, tensor

X8 = np.ones((2, 8), np.float32)
X16 = np.ones((1, 16), np.float32)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    networks.identity(networks.place(folder, "identity"))
    networks.mlp(networks.place(folder, "mlp"), 2)
    broken = networks.place(folder, "broken")
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"this is no network")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Any:
    folder = tmp_path_factory.mktemp("own")
    with running(folder, "--model-control", "explicit", models=repository) as daemon:
        yield daemon


@pytest.fixture
def caller(own: Daemon) -> Any:
    with own.client() as client:
        yield client


def _states(client: triton.InferenceServerClient) -> dict[str, tuple[str, str]]:
    models = client.get_model_repository_index().models
    return {row.name: (row.state, row.reason) for row in models}


def test_load_use_unload(caller: triton.InferenceServerClient) -> None:
    assert not caller.is_model_ready("identity")
    with pytest.raises(InferenceServerException, match="'identity' is not loaded; load it"):
        caller.infer("identity", [tensor("x", X16)])
    caller.load_model("identity")
    assert caller.is_model_ready("identity")
    assert caller.is_model_ready("identity", "1")
    assert not caller.is_model_ready("identity", "2")
    assert _states(caller)["identity"] == ("READY", "")
    caller.load_model("identity")  # nothing changed
    np.testing.assert_array_equal(caller.infer("identity", [tensor("x", X16)]).as_numpy("y"), X16)
    caller.unload_model("identity", unload_dependents=True)
    assert not caller.is_model_ready("identity")
    assert _states(caller)["identity"] == ("UNAVAILABLE", "unloaded")
    caller.unload_model("identity")
    with pytest.raises(InferenceServerException, match="unloaded"):
        caller.infer("identity", [tensor("x", X16)])


def test_the_index(caller: triton.InferenceServerClient) -> None:
    caller.load_model("mlp")
    states = _states(caller)
    assert states["mlp"] == ("READY", "")
    assert set(states) >= {"identity", "mlp", "broken", "empty"}
    ready = caller.get_model_repository_index(as_json=True)
    assert any(row["name"] == "mlp" and row["version"] == "1" for row in ready["models"])


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("nobody", "NOT_FOUND", "no model repository holds 'nobody'"),
        ("empty", "NOT_FOUND", "no version is available"),
        ("broken", "INVALID_ARGUMENT", "failed to load 'broken'"),
        ("../identity", "INVALID_ARGUMENT", "cannot be a model's name"),
        ("/etc", "INVALID_ARGUMENT", "cannot be a model's name"),
        ("", "INVALID_ARGUMENT", "cannot be a model's name"),
    ],
)
def test_loads_that_fail(
    caller: triton.InferenceServerClient, name: str, code: str, text: str
) -> None:
    with pytest.raises(InferenceServerException, match=text) as caught:
        caller.load_model(name)
    assert caught.value.status() == f"StatusCode.{code}"


def test_a_failed_load_is_in_the_index(caller: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="failed to load 'broken'"):
        caller.load_model("broken")
    state, reason = _states(caller)["broken"]
    assert state == "UNAVAILABLE"
    assert "failed to load 'broken'" in reason
    with pytest.raises(InferenceServerException, match="no available versions: failed to load"):
        caller.infer("broken", [tensor("x", X16)])


def _hostile(path: Path, kind: str) -> None:
    networks.identity(path, shape=[2, 2])
    model = onnx.load(path)
    if kind == "outside":
        weight = model.graph.initializer.add(
            name="w", data_type=onnx.TensorProto.FLOAT, dims=[1, 1]
        )
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../../../../../../etc/hostname")
        model.graph.node[0].CopyFrom(onnx.helper.make_node("Add", ["x", "w"], ["y"]))
    elif kind == "cycle":
        model.graph.node[0].CopyFrom(onnx.helper.make_node("Add", ["x", "b"], ["a"]))
        model.graph.node.append(onnx.helper.make_node("Relu", ["a"], ["b"]))
        model.graph.node.append(onnx.helper.make_node("Relu", ["b"], ["y"]))
    elif kind == "absurd":
        weight = model.graph.initializer.add(
            name="w", data_type=onnx.TensorProto.FLOAT, dims=[2**40, 2**40]
        )
        model.graph.node[0].CopyFrom(onnx.helper.make_node("Add", ["x", "w"], ["y"]))
    elif kind == "unknown op":
        model.graph.node[0].CopyFrom(onnx.helper.make_node("Dream", ["x"], ["y"]))
    path.write_bytes(model.SerializeToString())
    if kind == "cut off":
        path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("kind", ["outside", "cycle", "absurd", "unknown op", "cut off"])
def test_hostile_models(caller: triton.InferenceServerClient, repository: Path, kind: str) -> None:
    _hostile(networks.place(repository, kind), kind)
    with pytest.raises(InferenceServerException, match=f"failed to load '{kind}': ") as caught:
        caller.load_model(kind)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "internal error" not in str(caught.value)
    assert caller.is_server_ready()


def test_damaged_compiled_models(caller: triton.InferenceServerClient, repository: Path) -> None:
    compiled = repository / "damaged" / "1" / "model.coexec"
    compiled.mkdir(parents=True)
    (compiled / "program.pb").write_bytes(b"not at all")
    with pytest.raises(InferenceServerException, match="failed to load 'damaged'") as caught:
        caller.load_model("damaged")
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_compiled_model(
    caller: triton.InferenceServerClient, own: Daemon, repository: Path
) -> None:
    """What was compiled elsewhere is served as it is."""
    caller.load_model("mlp")
    (made,) = [
        path
        for path in (own.folder / "state" / "compiled").rglob("model.coexec")
        if format.load(path).program.name == "mlp"
    ][:1]
    target = repository / "compiled" / "4" / "model.coexec"
    shutil.copytree(made, target)
    caller.load_model("compiled")
    result = caller.infer("compiled", [tensor("x", X8)])
    assert result.get_response().model_version == "4"
    np.testing.assert_allclose(result.as_numpy("y"), networks.mlp_answer(X8), rtol=1e-4, atol=1e-5)
    with pytest.raises(InferenceServerException, match=r"tune is for \.onnx .* version 4 is model"):
        caller.load_model("compiled", config='{"parameters": {"tune": {"stringValue": "fast"}}}')


def test_unloading_what_is_not_there(caller: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="'nobody' is not found") as caught:
        caller.unload_model("nobody")
    assert caught.value.status() == "StatusCode.NOT_FOUND"


def test_a_model_sent_with_the_request(
    caller: triton.InferenceServerClient, tmp_path: Path
) -> None:
    model = networks.mlp(tmp_path / "sent.onnx", "n").read_bytes()
    config = json.dumps({"maxBatchSize": 8, "parameters": {"mine": {"stringValue": "x"}}})
    caller.load_model("sent", config=config, files={"file:3/model.onnx": model})
    result = caller.infer("sent", [tensor("x", X8)])
    assert result.get_response().model_version == "3"
    np.testing.assert_allclose(result.as_numpy("y"), networks.mlp_answer(X8), rtol=1e-4, atol=1e-5)
    served = caller.get_model_config("sent").config
    assert served.max_batch_size == 8
    assert list(served.input[0].dims) == [8]
    caller.unload_model("sent")
    with pytest.raises(InferenceServerException, match="no model repository holds 'sent'"):
        caller.load_model("sent")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"files": {"file:1/model.onnx": b"x"}}, "need the parameter 'config'"),
        ({"config": "{", "files": {}}, "parameter 'config'"),
        ({"config": "{}", "files": {"file:../x/model.onnx": b"x"}}, "must be file:VERSION/NAME"),
        ({"config": "{}", "files": {"file:1/../m.onnx": b"x"}}, "must be file:VERSION/NAME"),
        ({"config": '{"name": "other"}'}, "is for 'other'"),
        ({"config": '{"sequenceBatching": {}}'}, "sequence_batching is not served"),
        ({"config": '{"output": [{"name": "z"}]}'}, "has the output 'z'; the model has y"),
        ({"config": '{"parameters": {"prune": {"stringValue": "?"}}}'}, "prune"),
        ({"config": '{"parameters": {"prun": {}}}'}, "'prun' is not known; did you mean 'prune'"),
        ({"config": '{"parameters": {"tune": {"stringValue": "?"}}}'}, "there are fast, full"),
    ],
)
def test_refused_overrides(
    caller: triton.InferenceServerClient, options: dict[str, Any], text: str
) -> None:
    with pytest.raises((InferenceServerException, ValueError), match=text):
        caller.load_model("identity", **options)
    caller.load_model("identity", config="{}")  # and back to its own files


def test_a_configuration_of_the_callers(caller: triton.InferenceServerClient) -> None:
    caller.load_model(
        "identity", config='{"parameters": {"objective_us": {"stringValue": "30000000"}}}'
    )
    parameters = caller.get_model_config("identity").config.parameters
    assert parameters["objective_us"].string_value == "30000000"
    caller.infer("identity", [tensor("x", X16)])
    caller.unload_model("identity")


def test_tuned_on_load(caller: triton.InferenceServerClient, own: Daemon) -> None:
    rules = '{"prune": {"stringValue": "unstructured=0.8"}, "tune": {"stringValue": "fast"}}'
    caller.load_model("mlp", config=f'{{"parameters": {rules}}}')
    first = caller.infer("mlp", [tensor("x", X8)]).as_numpy("y")
    caller.unload_model("mlp")
    compiled = set((own.folder / "state" / "compiled").iterdir())
    caller.load_model("mlp", config=f'{{"parameters": {rules}}}')  # by what was measured
    assert set((own.folder / "state" / "compiled").iterdir()) == compiled
    again = caller.infer("mlp", [tensor("x", X8)]).as_numpy("y")
    np.testing.assert_array_equal(first, again)
    caller.load_model("mlp", config="{}")


def test_pruned_on_load(caller: triton.InferenceServerClient) -> None:
    caller.load_model("mlp", config='{"parameters": {"prune": {"stringValue": "bcr=0.5"}}}')
    assert caller.infer("mlp", [tensor("x", X8)]).as_numpy("y").shape == (2, 8)
    caller.unload_model("mlp")
    caller.load_model("mlp")
    np.testing.assert_allclose(
        caller.infer("mlp", [tensor("x", X8)]).as_numpy("y"),
        networks.mlp_answer(X8),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_changed_file_is_loaded_anew(
    caller: triton.InferenceServerClient, repository: Path
) -> None:
    path = networks.place(repository, "changing")
    networks.identity(path)
    caller.load_model("changing")
    networks.mlp(path, 2)
    caller.load_model("changing")
    assert caller.infer("changing", [tensor("x", X8)]).as_numpy("y").shape == (2, 8)
    path.write_bytes(b"broken")
    with pytest.raises(InferenceServerException, match="failed to load"):
        caller.load_model("changing")
    assert caller.infer("changing", [tensor("x", X8)]).as_numpy("y").shape == (2, 8)
    caller.unload_model("changing")


def test_what_was_loaded_survives(tmp_path: Path, repository: Path) -> None:
    daemon = Daemon(tmp_path, "--model-control", "explicit", models=repository).start()
    sent = networks.mlp(tmp_path / "sent.onnx", 2).read_bytes()
    with daemon.client() as client:
        client.load_model("identity")
        client.load_model("mlp")
        client.unload_model("mlp")
        client.load_model("sent", config="{}", files={"file:1/model.onnx": sent})
    assert daemon.stop() == 0
    daemon.start()
    with daemon.client() as client:
        states = {row.name: row.state for row in client.get_model_repository_index().models}
        assert states["identity"] == states["sent"] == "READY"
        assert states["mlp"] != "READY"
        client.infer("sent", [tensor("x", X8)])
        client.unload_model("identity")
    daemon.process.kill()  # no goodbye
    daemon.process.wait()
    daemon.start()
    with daemon.client() as client:
        assert not client.is_model_ready("identity")
        assert client.is_model_ready("sent")
    assert daemon.stop() == 0
