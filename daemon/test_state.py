from typing import Any

import pytest

from coexec.daemon.state import State, StateError, StateStore, StoredOverride


def test_round_trip(tmp_path: Any) -> None:
    store = StateStore(tmp_path / "s")
    assert store.read() == State()
    state = State({"b", "a"}, {"c"}, {"a": StoredOverride("{}", "x")})
    store.write(state)
    store.close()
    again = StateStore(tmp_path / "s")
    assert again.read() == state
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["lock", "state.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 9}', '{"version": 1}', "\udce9"])
def test_a_damaged_file_is_set_aside(tmp_path: Any, text: Any) -> None:
    store = StateStore(tmp_path)
    (tmp_path / "state.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert store.read() == State()
    assert (tmp_path / "state.damaged").exists()


def test_one_daemon_per_directory(tmp_path: Any) -> None:
    store = StateStore(tmp_path)
    with pytest.raises(StateError, match="another daemon uses this state directory"):
        StateStore(tmp_path)
    store.close()
    StateStore(tmp_path).close()
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="choose another --state-dir"):
        StateStore(tmp_path / "file")
