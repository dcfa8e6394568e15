import os
from pathlib import Path
from typing import Any

import pytest

from coexec.daemon.settings import SettingsError, merge, parse_lanes, read_settings


def test_layers(tmp_path: Any) -> None:
    file = tmp_path / "c.toml"
    file.write_text('http = "127.0.0.1:1"\nmodel-repository = ["a"]\nreuse = false\n')
    settings = merge(read_settings(file), {"http": "127.0.0.1:2"})
    assert settings.http == "127.0.0.1:2"
    assert settings.model_repository == ["a"]
    assert settings.reuse is False


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ({"xyz": 1}, "unknown setting 'xyz'; known: model_repository"),
        ({"quantum": 1}, "unknown setting 'quantum'; did you mean 'quantum_us'"),
        ({"http": 1}, "http is 1; it must be a string"),
        ({"quantum_us": True}, "quantum_us is True; it must be a whole number"),
        ({"reuse": 0}, "reuse is 0; it must be true or false"),
        ({"listen": "unix:s"}, "listen is 'unix:s'; it must be a list of strings"),
        ({"listen": [8001]}, r"listen is \[8001\]; it must be a list of strings"),
        ({"model_control": "some"}, "all or explicit"),
        ({"tls_key": "k"}, "go together"),
        (
            {"onnxruntime_lanes": 0},
            r"onnxruntime_lanes is 0; this process may use 3 of the .*1 to 3",
        ),
        ({"onnxruntime_lanes": 999}, "onnxruntime_lanes is 999; this process may use 3 of the"),
        ({"queue_len_max": 0}, "queue_len_max is 0; 1 or more"),
        ({"quantum_us": -1}, "quantum_us is -1; 1 or more"),
        ({"drain_seconds": -1}, "drain_seconds is -1; 0 or more"),
        ({"message_bytes_max": 2**31}, "message_bytes_max is 2147483648; 1 to 2147483647"),
    ],
)
def test_refused(layer: Any, text: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5})
    with pytest.raises(SettingsError, match=text):
        merge(layer)


def test_unreadable_files(tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_settings(tmp_path / "none")
    for bad, text in (
        ("=", "bad.toml: Invalid"),
        ("sise = 1", "bad.toml: unknown setting 'sise'"),
        ("quantum-us = 0", "bad.toml: quantum_us is 0; 1 or more"),
        ('model-control = "some"', "bad.toml: model_control is 'some'"),
        ('listen = ["nowhere"]', "bad.toml: 'nowhere' is no address; it is unix:PATH or HOST"),
        ('http = "unix:"', "bad.toml: 'unix:' is no address"),
        ('cores = "x"', "bad.toml: cores: 'x' is no list of cores"),
    ):
        (tmp_path / "bad.toml").write_text(bad)
        with pytest.raises(SettingsError, match=text):
            read_settings(tmp_path / "bad.toml")


def test_lanes(monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert parse_lanes("") == []
    assert parse_lanes("0-2,5;7") == [[0, 1, 2, 5], [7]]
    for bad, text in (("8", "none of this"), ("1;1", "twice"), ("a", "no list"), ("1-", "no list")):
        with pytest.raises(SettingsError, match=text):
            parse_lanes(bad)


def test_a_missing_model_repository_is_named(tmp_path: Path) -> None:
    merge({"model_repository": [str(tmp_path)]}).require_folders()
    with pytest.raises(SettingsError, match="model repository 'nowhere': no such folder"):
        merge({"model_repository": ["nowhere"]}).require_folders()
