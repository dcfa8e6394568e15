from typing import Any

import pytest

from coexec.compiler.signature import Signature, TensorSpec
from coexec.daemon.errors import RequestError
from coexec.daemon.repository.config import (
    compile_options,
    complete_config,
    parse_json_config,
    read_config_file,
    serving_options,
)
from coexec.protos import model_config_pb2 as config_pb

SIGNATURE = Signature(
    (TensorSpec("x", "f32", (-1, 3), ("n", "")), TensorSpec("s", "string", None)),
    (TensorSpec("y", "i64", (-1, 5), ("n", "")),),
)
PLAIN = Signature((TensorSpec("x", "f32", (2, 3), ("", "")),), (TensorSpec("y", "bool", ()),))


def _config(text: Any) -> Any:
    return parse_json_config("m", text)


def test_derived() -> None:
    config = complete_config("m", SIGNATURE, None)
    assert (config.name, config.platform, config.backend) == ("m", "coexec", "coexec")
    assert config.max_batch_size == 0
    assert config.version_policy.latest.num_versions == 1
    assert config.WhichOneof("scheduling_choice") is None
    assert [list(entry.dims) for entry in config.input] == [[-1, 3], [-1]]
    assert config.input[1].data_type == config_pb.TYPE_STRING
    assert config.output[0].data_type == config_pb.TYPE_INT64


def test_overlaid() -> None:
    given = _config(
        '{"name": "m", "maxBatchSize": 8, "dynamicBatching": {"defaultQueuePolicy": '
        '{"maxQueueSize": 5, "defaultTimeoutMicroseconds": 9}}, "parameters": {"objective_us": '
        '{"stringValue": "70"}, "prune": {"stringValue": "bcr=0.9"}, '
        '"hang_seconds": {"stringValue": "0"}, "mine": {}}, '
        '"output": [{"name": "y", "labelFilename": "l.txt"}]}'
    )
    signature = Signature(SIGNATURE.inputs[:1], SIGNATURE.outputs)
    config = complete_config("m", signature, given)
    assert list(config.input[0].dims) == [3]
    assert list(config.output[0].dims) == [5]
    assert config.output[0].label_filename == "l.txt"
    options = serving_options("m", config)
    assert (options.max_batch, options.objective_us) == (8, 70)
    assert (options.queue_len_max, options.timeout_us, options.hang_us) == (5, 9, 0)
    assert serving_options("m", _config("{}")).hang_us is None
    assert compile_options(given) == {"prune": "bcr=0.9"}
    assert compile_options(None) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"name": "other"}', "is for 'other'"),
        ("{", "parameter 'config'"),
        ('{"nonsense": 1}', "nonsense"),
        ('{"sequenceBatching": {}}', "sequence_batching is not served"),
        ('{"ensembleScheduling": {"step": [{}]}}', "ensemble_scheduling is not served"),
        ('{"modelTransactionPolicy": {"decoupled": true}}', "decoupled models are not served"),
        ('{"maxBatchSize": -1}', "max_batch_size is -1"),
        ('{"maxBatchSize": 4}', "input 'x' is batched, .* the model has x f32\\[2, 3\\]"),
        ('{"input": [{"name": "z"}]}', "has the input 'z'; the model has x"),
        ('{"output": [{"name": "z"}]}', "has the output 'z'; the model has y"),
        ('{"input": [{"name": "x", "dataType": "TYPE_INT8"}]}', "input 'x' is INT8 the model"),
        ('{"input": [{"name": "x", "dims": [2, 4]}]}', "has the dims \\[2, 4\\]"),
        ('{"input": [{"name": "x", "reshape": {"shape": [6]}}]}', "reshape is not served"),
        ('{"parameters": {"objective_us": {"stringValue": "soon"}}}', "is 'soon'; a whole number"),
        (
            '{"parameters": {"objectiv_us": {"stringValue": "70"}}}',
            "'objectiv_us' is not known; did you mean 'objective_us'\\?; known are prune, tune",
        ),
    ],
)
def test_contradictions(text: Any, why: Any) -> None:
    with pytest.raises(RequestError, match=why):
        serving_options("m", complete_config("m", PLAIN, _config(text)))


def test_what_is_no_tensor() -> None:
    signature = Signature((TensorSpec("x", "sequence", None),), ())
    with pytest.raises(RequestError, match="input 'x' is a sequence; the protocol carries tensors"):
        complete_config("m", signature, None)


def test_config_files(tmp_path: Any) -> None:
    assert read_config_file("m", tmp_path) is None
    file = tmp_path / "config.pbtxt"
    file.write_text('name: "m" max_batch_size: 3')
    config = read_config_file("m", tmp_path)
    assert config is not None
    assert config.max_batch_size == 3
    for text in ("max_batch_sise: 3", "\0", 'name: "n"'):
        file.write_text(text)
        with pytest.raises(RequestError, match=r"failed to load 'm'"):
            read_config_file("m", tmp_path)
    file.write_text(" " * (1 << 21))
    with pytest.raises(RequestError, match="has more than"):
        read_config_file("m", tmp_path)
