"""Reader of Dockerfiles and build contexts, which are stored and digested as a whole and executed by the engine.

Separate because the readers of Azure's and roost's own files read build contexts too.
"""

from __future__ import annotations

import posixpath

from roost.model.definition import Base, Definition, ReadResult
from roost.model.errors import Location
from roost.model.readers.source import ReadContext

_FILE = "Dockerfile"


def read_dockerfile(reading: ReadContext, text: str) -> ReadResult:
    """Read a Dockerfile without a context. Raises: InvalidDefinitionError if it contains credentials."""
    reading.require_no_credentials(text, "the Dockerfile", Location(path=reading.path))
    return reading.build_result(Definition(base=Base(dockerfile=text)), "dockerfile")


def read_context(reading: ReadContext, folder: str) -> ReadResult:
    """Read a folder with a Dockerfile. Raises: InvalidDefinitionError if its Dockerfile contains credentials."""
    digest = digest_context(reading, folder, None)
    return reading.build_result(Definition(base=Base(context=digest, context_path=folder)), "context")


def digest_context(reading: ReadContext, folder: str, location: Location | None) -> str:
    """Return the digest of a build context. Raises: InvalidDefinitionError if its Dockerfile contains credentials."""
    digest = reading.compute_digest("context", folder, location)
    path = posixpath.join(folder, _FILE)
    try:
        text = reading.files.read(path).decode("utf-8", "replace")
    except OSError:  # the engine reports it when the context is built
        return digest
    reading.require_no_credentials(text, "the Dockerfile", Location(path=path))
    return digest
