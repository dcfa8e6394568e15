import os
from typing import Any

from coexec.daemon.repository.cache import CompiledCache, content_digest, entry_key


def _entry(cache: Any, key: Any, size: Any, age_s: Any) -> Any:
    built = cache.building()
    (built / "data").write_bytes(bytes(size))
    path = cache.keep(key, built)
    os.utime(path, (1000 - age_s, 1000 - age_s))
    return path


def test_entries_are_kept_and_found(tmp_path: Any) -> None:
    cache = CompiledCache(tmp_path / "c", 1000)
    assert cache.find("a") is None
    path = _entry(cache, "a", 10, 0)
    assert cache.find("a") == path
    second = cache.building()
    assert cache.keep("a", second) == path
    assert not second.exists()


def test_the_oldest_unused_go(tmp_path: Any) -> None:
    cache = CompiledCache(tmp_path / "c", 250)
    paths = [_entry(cache, f"k{i}", 100, 10 - i) for i in range(4)]
    cache.find("k1")
    assert cache.prune({paths[0]}) == 2
    assert [path.exists() for path in paths] == [True, True, False, False]
    assert cache.prune(set()) == 0


def test_leftovers_of_a_crash_go(tmp_path: Any) -> None:
    cache = CompiledCache(tmp_path / "c", 1000)
    building = cache.building()
    CompiledCache(tmp_path / "c", 1000)
    assert not building.exists()


def test_a_digest_sees_the_neighbours(tmp_path: Any) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"graph")
    digests = {content_digest(model)}
    (tmp_path / "weights.bin").write_bytes(b"w")
    digests.add(content_digest(model))
    (tmp_path / "weights.bin").write_bytes(b"v")
    digests.add(content_digest(model))
    compiled = tmp_path / "model.coexec"
    compiled.mkdir()
    (compiled / "program.pb").write_bytes(b"p")
    digests.add(content_digest(compiled))
    assert len(digests) == 4


def test_keys_differ_by_everything() -> None:
    keys = {
        entry_key("c", "1", {}, {}),
        entry_key("d", "1", {}, {}),
        entry_key("c", "2", {}, {}),
        entry_key("c", "1", {"a": "b"}, {}),
        entry_key("c", "1", {}, {"x": (1, 2)}),
        entry_key("c", "1", {}, {"x": (2, 1)}),
    }
    assert len(keys) == 6
    assert entry_key("c", "1", {}, {"x": (1,), "y": (2,)}) == entry_key(
        "c", "1", {}, {"y": [2], "x": [1]}
    )
