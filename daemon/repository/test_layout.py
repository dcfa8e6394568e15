from typing import Any

import pytest

from coexec.daemon.errors import RequestError
from coexec.daemon.repository.config import parse_json_config
from coexec.daemon.repository.layout import (
    check_name,
    find_versions,
    model_folders,
    parse_version,
    unknown_model,
    unknown_version,
)


@pytest.fixture
def folder(tmp_path: Any) -> Any:
    for version in (1, 2, 10):
        (tmp_path / "m" / str(version)).mkdir(parents=True)
        (tmp_path / "m" / str(version) / "model.onnx").touch()
    for other in ("x", "01", "-1"):
        (tmp_path / "m" / other).mkdir()
    return tmp_path / "m"


def _policy(text: Any) -> Any:
    return parse_json_config("m", f'{{"versionPolicy": {text}}}')


@pytest.mark.parametrize(
    ("config", "want"),
    [
        (None, [10]),
        (_policy("{}"), [10]),
        (_policy('{"latest": {"numVersions": 2}}'), [2, 10]),
        (_policy('{"all": {}}'), [1, 2, 10]),
        (_policy('{"specific": {"versions": [2, 1, 7]}}'), [1, 2]),
    ],
)
def test_version_policies(folder: Any, config: Any, want: Any) -> None:
    assert [source.version for source in find_versions("m", folder, config)] == want


def test_no_version_and_no_model(folder: Any) -> None:
    with pytest.raises(RequestError, match="no version is available: m/ holds") as caught:
        find_versions("m", folder, _policy('{"specific": {"versions": [3]}}'))
    assert caught.value.code.name == "NOT_FOUND"
    (folder / "10" / "model.onnx").unlink()
    with pytest.raises(RequestError, match=r"expected 10/model.coexec or model.onnx"):
        find_versions("m", folder, None)


def test_named_model_files(folder: Any) -> None:
    (folder / "10" / "net.onnx").touch()
    config = parse_json_config("m", '{"defaultModelFilename": "net.onnx"}')
    assert find_versions("m", folder, config)[0].file.name == "net.onnx"
    for bad, text in (("../net.onnx", "inside"), ("net.bin", "inside"), ("no.onnx", "has no no")):
        config.default_model_filename = bad
        with pytest.raises(RequestError, match=text):
            find_versions("m", folder, config)


def test_two_models_in_one_version_are_refused_unless_one_is_named(folder: Any) -> None:
    (folder / "10" / "model.coexec").mkdir()
    with pytest.raises(RequestError, match=r"10 has several models: model.coexec and model.onnx"):
        find_versions("m", folder, None)
    config = parse_json_config("m", '{"defaultModelFilename": "model.onnx"}')
    assert find_versions("m", folder, config)[0].file.name == "model.onnx"
    (folder / "10" / "model.onnx").unlink()
    assert find_versions("m", folder, None)[0].file.name == "model.coexec"


def test_the_first_repository_wins(folder: Any, tmp_path: Any) -> None:
    other = tmp_path.parent / f"{tmp_path.name}-other"
    (other / "m").mkdir(parents=True)
    (other / "n").mkdir()
    (other / ".hidden").mkdir()
    found = model_folders([tmp_path, other, tmp_path / "missing"])
    assert found == {"m": folder, "n": other / "n"}


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "../x", "a\\b", "a\nb", "é" * 128])
def test_names_that_are_none(name: Any) -> None:
    with pytest.raises(RequestError, match="cannot be a model's name"):
        check_name(name)


def test_an_unknown_model_is_told_the_nearest() -> None:
    assert unknown_model("scen_count", ["scene_count", "mlp"]).text == (
        "Request for unknown model: 'scen_count' is not found; did you mean 'scene_count'?"
    )
    assert unknown_model("x", ["mlp", "abc"]).text.endswith("'x' is not found; there are abc, mlp")
    assert unknown_model("x", []).text.endswith("'x' is not found; there are none")
    assert unknown_version("m", 7, [3, 1]).text.endswith("'m' version 7 is not found; loaded: 1, 3")


def test_versions_of_requests() -> None:
    assert parse_version("m", "") is None
    assert parse_version("m", "12") == 12
    for bad in ("-1", "a", "1.0", "9" * 30):
        with pytest.raises(RequestError, match="is no version of model 'm'"):
            parse_version("m", bad)
