"""What a version does before it takes another's place."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from coexec.daemon.errors import RequestError
from coexec.daemon.repository.version import ModelVersion


async def warm(versions: Mapping[int, ModelVersion], known: Mapping[int, ModelVersion]) -> None:
    """Make, in new versions, programs for the shapes that are in use: whoever sends frames with
    deadlines would otherwise lose those that come while a new version is compiled for them."""
    for number, version in versions.items():
        before = known.get(number) or known.get(max(known, default=0))
        if before is None or before is version:
            continue
        if [port.name for port in before.inputs] != [port.name for port in version.inputs]:
            continue
        for shapes in before.programs.shapes():
            with contextlib.suppress(RequestError):  # the new one need not take it
                version.check_shapes(shapes)
                await version.programs.build(shapes)
