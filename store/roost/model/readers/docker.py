"""Dockerfiles and build contexts: kept and digested whole, executed by the engine."""

from __future__ import annotations

import posixpath

from roost.model.definition import Base, Definition, ReadResult
from roost.model.errors import Location
from roost.model.readers.source import ReadContext

FILE = "Dockerfile"


def read_dockerfile(reading: ReadContext, text: str) -> ReadResult:
    """A Dockerfile by itself: there is no context to copy from. Raises ``InvalidDefinitionError``."""
    reading.whole(text, "the Dockerfile", Location(path=reading.path))
    return reading.parsed(Definition(base=Base(dockerfile=text)), "dockerfile")


def read_context(reading: ReadContext, folder: str) -> ReadResult:
    """A folder with a Dockerfile. Raises ``InvalidDefinitionError``."""
    digest = context_digest(reading, folder, None)
    return reading.parsed(Definition(base=Base(context=digest, context_path=folder)), "context")


def context_digest(reading: ReadContext, folder: str, location: Location | None) -> str:
    """The digest of a build context, whose Dockerfile is kept as it is. Raises ``InvalidDefinitionError``."""
    digest = reading.digest("context", folder, location)
    path = posixpath.join(folder, FILE)
    try:
        text = reading.files.read(path).decode("utf-8", "replace")
    except OSError:  # the engine will say so, if it is to be built
        return digest
    reading.whole(text, "the Dockerfile", Location(path=path))
    return digest
