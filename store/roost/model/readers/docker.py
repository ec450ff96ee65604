"""Reader of Dockerfiles and build contexts, which are stored and digested as a whole and executed by the engine.

Separate because the readers of Azure's and roost's own files read them too.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable

from roost.model.definition import Base, Definition, ReadResult
from roost.model.documents.conflicts import check_conflict
from roost.model.documents.dockerfile import DOCKERFILE, find_context_uses
from roost.model.documents.places import TextPlaces
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.source import ReadContext


class ContextUnnamedError(InvalidDefinitionError):
    """A Dockerfile or a docker step without a build context reads files from one."""

    code = "context-unnamed"


def read_dockerfile(reading: ReadContext, text: str) -> ReadResult:
    """Read a Dockerfile without a context.

    Raises: InvalidDefinitionError if it contains credentials. That it reads files of a context is a problem.
    """
    check_conflict(text, reading.path, is_whole=True)  # a here-document may have such lines
    reading.require_no_credentials(text, "the Dockerfile", Location(path=reading.path))
    folder, name = posixpath.split(reading.path)
    report_context_uses(reading, text, TextPlaces(text, reading.path).locate, describe_context(folder, name))
    return reading.build_result(Definition(base=Base(dockerfile=text)), "dockerfile")


def describe_context(folder: str, name: str) -> str:
    """Return the advice to name ``folder``, the build context of the Dockerfile ``name`` in it."""
    if name == DOCKERFILE:
        return f"Name its folder, which is then the build context: -f {folder}"
    if name.startswith("<"):  # a text without a file
        return f"Write it into a folder as {DOCKERFILE}, beside these files, and name the folder with -f."
    table = f"[base] context = {{ path = {json.dumps(folder)}, dockerfile = {json.dumps(name)} }}"
    return f"Name its folder as the build context, in a roost.toml: {table}"


def report_context_uses(reading: ReadContext, text: str, locate: Callable[[int], Location], hint: str) -> None:
    """Report each instruction of ``text`` that reads files of a build context, which there is none of, as a problem.

    ``locate`` returns where the character at an offset of ``text`` is written.
    """
    for instruction in find_context_uses(text):
        with reading.recover():
            raise ContextUnnamedError(
                f"`{instruction.shown}` reads files of a build context, and without its folder a Dockerfile has none",
                hint=hint,
                location=locate(instruction.offset),
            )


def read_context(reading: ReadContext, folder: str) -> ReadResult:
    """Read a folder with a Dockerfile. Raises: InvalidDefinitionError if its Dockerfile contains credentials."""
    digest = digest_context(reading, folder, None)
    return reading.build_result(Definition(base=Base(context=digest, context_path=folder)), "context")


def read_context_base(
    reading: ReadContext, folder: str, dockerfile: str | None, location: Location, named_at: Location
) -> Base:
    """Return the base that is built from ``folder`` with the Dockerfile ``dockerfile`` in it, as a file names them.

    ``location`` and ``named_at`` are where the two are written.

    Raises: InvalidDefinitionError if the Dockerfile is not in the folder, or contains credentials.
    """
    name = normalise_dockerfile_path(dockerfile, named_at)
    if name is not None:
        reading.load_file(posixpath.join(folder, name), named_at)
    digest = digest_context(reading, folder, location, name or DOCKERFILE)
    return Base(context=digest, context_path=folder, dockerfile_path=name)


def normalise_dockerfile_path(path: str | None, location: Location) -> str | None:
    """Return the path of a Dockerfile in its build context; ``None`` if it is ``Dockerfile``.

    Raises: ContextUnnamedError if the path leads out of the build context.
    """
    name = posixpath.normpath(path or DOCKERFILE)
    if name in (".", "..") or name.startswith(("/", "../")):
        raise ContextUnnamedError(
            f"The Dockerfile {path!r} is not in its build context",
            hint="Write its path relative to the build context, and move the file into that folder.",
            location=location,
        )
    return None if name == DOCKERFILE else name


def digest_context(reading: ReadContext, folder: str, location: Location | None, dockerfile: str = DOCKERFILE) -> str:
    """Return the digest of a build context. Raises: InvalidDefinitionError if its Dockerfile contains credentials."""
    digest = reading.digest_context(folder, location, dockerfile)
    path = posixpath.join(folder, dockerfile)
    try:
        text = reading.files.read(path).decode("utf-8", "replace")
    except OSError:  # the engine reports it when the context is built
        return digest
    reading.require_no_credentials(text, "the Dockerfile", Location(path=path))
    return digest
