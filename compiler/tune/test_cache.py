import json
from pathlib import Path

import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.tune import Candidate, Choice, Tuning, cache

_CHOICE = Choice(
    [Candidate("bcr", 0.1, 12.5), Candidate("csr", 0.2, 0.0, "refused")], "bcr", "fast"
)


def _filled(folder: Path, key: str = "k") -> Tuning:
    tuning = Tuning(folder)
    tuning.keep(key, _CHOICE)
    tuning.save()
    return tuning


def _file(folder: Path) -> Path:
    (path,) = folder.glob("*.json")
    return path


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    _filled(tmp_path)
    again = Tuning(tmp_path)
    assert again.find("k") == _CHOICE
    assert again.find("other") is None
    assert again.warnings == []


def test_forgetting_removes_the_file(tmp_path: Path) -> None:
    assert _filled(tmp_path).forget() == 1
    assert not list(tmp_path.glob("*.json"))
    assert Tuning(tmp_path).forget() == 0


def test_full_wants_more_than_fast(tmp_path: Path) -> None:
    tuning = _filled(tmp_path)
    assert tuning.find("k", "fast") == _CHOICE
    assert tuning.find("k", "full") is None
    full = Choice(_CHOICE.candidates, "csr", "full")
    tuning.keep("k", full)
    assert tuning.find("k", "full") == tuning.find("k", "fast") == full


def test_writers_add_to_each_other(tmp_path: Path) -> None:
    first, second = Tuning(tmp_path), Tuning(tmp_path)
    first.keep("a", _CHOICE)
    second.keep("b", _CHOICE)
    first.save()
    second.save()
    assert len(Tuning(tmp_path)) == 2


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format": 1}', "\x00\xff", '{"choices": 3}']
)
def test_a_damaged_file_counts_as_empty_and_says_so(tmp_path: Path, content: str) -> None:
    _filled(tmp_path)
    _file(tmp_path).write_text(content)
    tuning = Tuning(tmp_path)
    assert len(tuning) == 0
    (warning,) = tuning.warnings
    assert "damaged, or no tuning file" in warning
    assert warning.endswith("it is ignored")
    _filled(tmp_path)
    assert Tuning(tmp_path).find("k") == _CHOICE


def test_a_choice_of_no_candidate_is_damage(tmp_path: Path) -> None:
    _filled(tmp_path)
    path = _file(tmp_path)
    path.write_text(path.read_text().replace('"taken": "bcr"', '"taken": "nm"'))
    assert "none of the candidates" in Tuning(tmp_path).warnings[0]


def test_another_machine_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _filled(tmp_path)
    other = {**cache.identity(), "cpu": "an abacus"}
    monkeypatch.setattr(cache, "identity", lambda: other)
    assert Tuning(tmp_path).find("k") is None
    _filled(tmp_path, "k2")
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_file_that_lies_about_its_machine_is_ignored(tmp_path: Path) -> None:
    _filled(tmp_path)
    path = _file(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "cpu": "an abacus"}))
    tuning = Tuning(tmp_path)
    assert len(tuning) == 0
    assert "measured on an abacus" in tuning.warnings[0]


def test_export_and_import(tmp_path: Path) -> None:
    exported = tmp_path / "exported.json"
    assert _filled(tmp_path / "here").export(exported) == 1
    there = Tuning(tmp_path / "there")
    assert there.take(exported) == 1
    there.save()
    assert Tuning(tmp_path / "there").find("k") == _CHOICE


def test_import_of_another_machines_file_is_refused(tmp_path: Path) -> None:
    exported = tmp_path / "exported.json"
    _filled(tmp_path).export(exported)
    exported.write_text(json.dumps({**json.loads(exported.read_text()), "isa": "avx1024"}))
    with pytest.raises(CompileError, match=r"measured on .* \(avx1024\) .*this is"):
        Tuning(tmp_path).take(exported)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"csr"', '"foo"', "its choice k: 'foo' is no way to run a layer"),
        ('"csr"', '"onnxruntime 1:"', "no way to run a layer"),
        ("12.5", "NaN", "its choice k: 'bcr' has the work or time of none"),
        ('"candidates": [', '"candidates": 7, "rest": [', "its choice k has not the form of one"),
        ('"mode"', '"mood"', "its choice k has no mode"),
        ('"format": 1', '"format": 2', "is of format 2; this version reads 1"),
        ('"format"', '"formal"', "damaged, or no tuning file: it has no format"),
        ("{", "\x93NUMPY{", "damaged, or no tuning file: it is not JSON"),
    ],
)
def test_what_is_wrong_with_an_imported_file_is_told(
    tmp_path: Path, before: str, after: str, why: str
) -> None:
    exported = tmp_path / "exported.json"
    _filled(tmp_path / "here").export(exported)
    exported.write_text(exported.read_text().replace(before, after, 1))
    there = Tuning(tmp_path / "there")
    with pytest.raises(CompileError, match=why):
        there.take(exported)
    assert len(there) == 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CompileError, match=r"cannot be written: [A-Z][a-z ]+$"):
        _filled(tmp_path / "file" / "below")


def test_without_a_folder_nothing_is_kept() -> None:
    tuning = Tuning(None)
    tuning.keep("k", _CHOICE)
    tuning.save()
    assert tuning.find("k") == _CHOICE


def test_the_content_is_that_of_the_file_read_or_saved(tmp_path: Path) -> None:
    tuning = Tuning(tmp_path)
    assert tuning.content == cache.content(tmp_path) == ""
    tuning.keep("a", _CHOICE)
    tuning.save()
    assert tuning.content == cache.content(tmp_path) == Tuning(tmp_path).content != ""
    saved = tuning.content
    _filled(tmp_path, "b")
    assert tuning.content == saved != cache.content(tmp_path)
    _file(tmp_path).write_text("{")
    assert Tuning(tmp_path).content == cache.content(tmp_path) != ""
