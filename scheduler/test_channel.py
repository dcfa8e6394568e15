import gc

import numpy as np
import pytest

from coexec.scheduler import _core


def _channel() -> _core.Channel:
    return _core.Channel(1 << 20, 1 << 20, 1 << 12)


def test_a_slot_is_memory_that_returns_when_its_last_reference_goes() -> None:
    channel = _channel()
    slot = channel.allocate(1 << 19)
    array = slot.array
    array[:] = 7
    with pytest.raises(_core.SlotsFullError, match="524288 of 1048576 bytes are in use"):
        channel.allocate(1 << 20)
    del slot
    gc.collect()
    with pytest.raises(_core.SlotsFullError):
        channel.allocate(1 << 20)  # the array still uses it
    del array
    gc.collect()
    assert channel.allocate(1 << 20).nbytes == 1 << 20


def test_an_input_that_does_not_fit_its_slot_is_refused() -> None:
    slot = _channel().allocate(16)
    _core.Input(slot, "f32", [2, 2])
    with pytest.raises(ValueError, match=r"f32\[5\] does not fit a slot of 16 bytes"):
        _core.Input(slot, "f32", [5])
    with pytest.raises(ValueError, match="impossible shape"):
        _core.Input(slot, "f32", [1 << 40, 1 << 40])
    with pytest.raises(ValueError, match="impossible shape"):
        _core.Input(slot, "f32", [-1])
    with pytest.raises(ValueError, match="f33"):
        _core.Input(slot, "f33", [1])


def test_strings_are_checked_against_their_slot() -> None:
    channel = _channel()
    data = b"\x02\0\0\0ab\x00\0\0\0"
    slot = channel.allocate(len(data))
    slot.array[:] = np.frombuffer(data, np.uint8)
    _core.Input(slot, "string", [2])
    with pytest.raises(ValueError, match="does not hold the strings"):
        _core.Input(slot, "string", [3])


def test_a_full_ring_is_an_error_and_the_slots_come_back() -> None:
    channel = _channel()

    def submit_many() -> None:
        for i in range(1000):
            channel.submit(i, 1, [_core.Input(channel.allocate(4), "f32", [1])])

    with pytest.raises(_core.RingFullError):
        submit_many()
    channel.reset()
    assert channel.poll() == []
    gc.collect()
    assert channel.allocate(1 << 20).nbytes == 1 << 20


def test_reset_makes_new_rings_and_keeps_the_slots() -> None:
    channel = _channel()
    slots, _, _, to_engine, from_engine = channel.engine_fds()
    channel.reset()
    after = channel.engine_fds()
    assert after[0] == slots
    assert after[3:] == [to_engine, from_engine]
    assert channel.fileno() == from_engine
