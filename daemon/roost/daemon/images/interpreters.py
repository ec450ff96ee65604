"""The Python in an image.

Which one a definition means is a setting and counts in no digest: it is looked up in the image whenever the image is
used, and recorded with no image.
"""

from __future__ import annotations

from collections.abc import Sequence

from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.model.definition import Python

INTERPRETERS = ("python", "python3")
"""Looked for if nothing is named. An image without a Python may be run as well."""


def names_interpreter(resolved: TargetedDefinition) -> bool:
    """Whether the definition names its Python, which then must be in the image. The default name is nobody's choice:
    Azure's files always have it, and an image without a Python may be run as well."""
    python = resolved.definition.python
    return python.user_managed and python.interpreter != Python().interpreter


def named_interpreter(resolved: TargetedDefinition) -> str | None:
    """Return the interpreter that the definition names, if it names one."""
    return resolved.definition.python.interpreter if names_interpreter(resolved) else None


class ImageInterpreters:
    """Looks for interpreters in images of the engine, once for each image and name."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._found: dict[tuple[str, str], str | None] = {}
        """By the id of the image, whose content never changes, and the name that was looked for."""

    async def find(self, image: str, named: str | None, variables: Sequence[str] | None = None) -> str | None:
        """Return the path of ``named`` in the image (an id), or of one of the usual names; ``None`` if nothing is named
        and none of those is there. ``variables``: those of the image, if known.

        Raises InterpreterMissingError if ``named`` is not in the image, and the engine's errors.
        """
        key = (image, named or "")
        if key not in self._found:
            self._found[key] = await self._look_up(image, (named,) if named else INTERPRETERS, variables)
        found = self._found[key]
        if found is None and named:
            from roost.daemon.engines.docker.errors import ImageInterpreterMissingError

            raise ImageInterpreterMissingError(
                f"The image has no {named}, which the definition names as its interpreter",
                hint="Name the path that it has in the image under [python] interpreter.",
            )
        return found

    async def _look_up(self, image: str, names: Sequence[str], variables: Sequence[str] | None) -> str | None:
        engine = await self._engines.docker()
        if variables is None:
            found = await engine.images.find(image)
            variables = found.variables if found is not None else ()
        return await engine.containers.find_in_image(image, names, variables)
