"""What a client is given: that which cannot be sent is refused by name."""

from typing import Any

import numpy as np
import pytest

from coexec.clients import ArgumentError, AsyncClient, Client, CoexecError
from coexec.clients.conftest import Fake

_X = np.arange(2, dtype=np.float32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": 1.5}, "version is 1.5; it must be a whole number or its digits"),
        ({"inputs": None}, "input 'x' is None; give an array"),
        ({"inputs": {"x": None}}, "input 'x' is None; give an array"),
        ({"inputs": {"x": [[1], [2, 3]]}}, "input 'x': .*inhomogeneous"),
        ({"inputs": {"x": [1, "a", None]}}, "only bytes and str"),
        ({"inputs": {"x": np.zeros(2, np.complex64)}}, "input 'x': an array of complex64"),
        ({"deadline_us": 1.5}, "deadline_us is 1.5; it must be a whole number from 0"),
        ({"priority": -1}, "priority is -1; it must be a whole number from 0"),
        ({"outputs": "yz"}, "outputs is 'yz'; it must be a list of names"),
        ({"request_id": 7}, "request_id is 7; it must be a str"),
        (
            {"inputs": np.broadcast_to(np.float32(0), (3 << 28,))},
            "inputs take 3221225472 bytes; a message carries 2147483647 at most",
        ),
        ({"timeout_s": "5"}, "timeout_s is '5'; it must be 0 or more seconds"),
        ({"timeout_s": -1}, "timeout_s is -1; it must be 0 or more seconds"),
        ({"model": 7}, "model is 7; it must be a str"),
    ],
)
async def test_arguments_that_cannot_be_sent(
    fake: Fake, arguments: dict[str, Any], message: str
) -> None:
    given = {"model": "double", "inputs": _X, **arguments}
    with Client(fake[1]) as client, pytest.raises(ArgumentError, match=message) as caught:
        client.infer(**given)
    assert isinstance(caught.value, CoexecError)
    async with AsyncClient(fake[1]) as client_:
        with pytest.raises(ArgumentError, match=message):
            await client_.infer(**given)


def test_other_arguments_and_versions_as_numbers(fake: Fake) -> None:
    bad: Any = {"max_batch_size": 8}
    with Client(fake[1]) as client:
        with pytest.raises(ArgumentError, match="config is a dict; it must be JSON as a str"):
            client.load("double", config=bad)
        with pytest.raises(ArgumentError, match=r"files\['1/model.onnx'\] is a dict; it must be b"):
            client.load("double", files={"1/model.onnx": bad})
        with pytest.raises(ArgumentError, match="window_s is -1; it must be 0 or more seconds"):
            client.timeline(-1)
        number: Any = 7
        for call in (client.metadata, client.config, client.statistics, client.ready):
            with pytest.raises(ArgumentError, match="model is 7; it must be a str"):
                call(number)
        for change in (client.load, client.unload):
            with pytest.raises(ArgumentError, match="name is 7; it must be a str"):
                change(number)
        with pytest.raises(ArgumentError, match="timeout_s is nan"):
            client.load("double", timeout_s=float("nan"))
        assert client.infer("double", {"x": _X}, version=3).version == "3"
        assert "double/3" in client.infer_many([("double", 3)], {"x": _X})
        assert client.metadata("double", 1).name == "double"
