"""What the bench of tuned layers makes of the times of its two looks."""

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from bench import tuned_layers, zoo
from bench.graph_of import graph_of
from bench.layer_times import Duel
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format

_SLOWER = Duel(ours_us=2.0, theirs_us=1.0, ratio=0.5, low=0.5, high=0.5)
_FASTER = Duel(ours_us=1.0, theirs_us=2.0, ratio=2.0, low=2.0, high=2.0)


def test_a_layer_without_a_time_in_the_second_look_is_not_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "m (float[2, 8] x) => (float[2, 8] z) { y = Softmax(x) z = Softmax<axis = 0>(y) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    onnx.save(model, tmp_path / "m.onnx")
    compile_model(tmp_path / "m.onnx", tmp_path / "m.coexec", CompileOptions(profile=False))
    compiled = format.load(tmp_path / "m.coexec")
    looks = iter([({0: _SLOWER, 1: _SLOWER}, 4.0), ({1: _SLOWER}, 4.0)])
    monkeypatch.setattr(tuned_layers, "in_network", lambda *_: next(looks))
    monkeypatch.setattr(tuned_layers, "over_foreign", lambda *_: _FASTER)
    row, seconds = tuned_layers.look("m", "", compiled, 0.0)
    second = graph_of(compiled).layers[1].name
    assert [(s.layer, s.over) for s in seconds] == [(second, "run"), (second, "alone")]
    assert (row.native_layers, row.slower_run, row.slower_alone, row.lost_us) == (2, 1, 0, 1.0)


def test_a_count_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.json"
    asked: list[tuple[str, str]] = []

    def look(network: str, prune: str, *_: Any) -> tuple[tuned_layers.Row, list[Any]]:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append((network, prune))
        return tuned_layers.Row(network, prune, 1, 8.0, 1, 0, 0, 0, 0, 2.0, 25.0), []

    monkeypatch.setattr(tuned_layers, "look", look)
    monkeypatch.setattr(tuned_layers, "tuned", lambda *_: None)
    monkeypatch.setattr(zoo, "write", lambda name, folder: folder / name)
    monkeypatch.setattr(sys, "argv", ["", "--only", "gru", "--json", str(file), "--add"])
    with pytest.raises(KeyboardInterrupt):
        tuned_layers.main()
    before = asked.copy()
    asked.clear()
    tuned_layers.main()
    facts = json.loads(file.read_text())
    assert [(row["network"], row["prune"]) for row in facts["rows"]] == before + asked
    assert before + asked == [("gru_2x1024", prune) for prune in tuned_layers.PRUNED]
    assert (facts["slower_run"], facts["lost_percent"]) == (4, 25.0)
