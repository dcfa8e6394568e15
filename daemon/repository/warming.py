"""What a version does before it takes another's place."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from coexec.daemon.errors import RequestError
from coexec.daemon.repository.version import ModelVersion

_log = structlog.get_logger("repository")


async def warm(versions: Mapping[int, ModelVersion], known: Mapping[int, ModelVersion]) -> None:
    """Make, in new versions, programs for the shapes that are in use: whoever sends frames with
    deadlines would otherwise lose those that come while a new version is compiled for them. What
    fails here fails no load: a request for the shapes will say why."""
    for number, version in versions.items():
        before = known.get(number) or known.get(max(known, default=0))
        if before is None or before is version:
            continue
        if [port.name for port in before.inputs] != [port.name for port in version.inputs]:
            continue
        for shapes in before.programs.shapes():
            if version.programs.fixed is not None:  # it fits all; a build may have made it
                break
            try:
                version.check_shapes(shapes)
                await version.programs.build(shapes)
            except RequestError:
                continue  # the new one need not take them
            except Exception as error:
                _log.error("no program for shapes in use", model=version.name, exc_info=error)
