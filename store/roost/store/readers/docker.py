"""Dockerfiles and build contexts: kept and digested whole, executed by the engine."""

from __future__ import annotations

from roost.store.definition import Base, Definition, Parsed
from roost.store.readers.source import Reading


def read_dockerfile(reading: Reading, text: str) -> Parsed:
    """A Dockerfile by itself: there is no context to copy from."""
    return reading.parsed(Definition(base=Base(dockerfile=text)), "dockerfile")


def read_context(reading: Reading, folder: str) -> Parsed:
    """A folder with a Dockerfile. Raises ``DefinitionError``."""
    digest = reading.digest("context", folder, None)
    return reading.parsed(Definition(base=Base(context=digest, context_path=folder)), "context")
