"""Where an image has its Python. Which one a definition means is a setting and in no digest: it is looked for in the
image whenever it is used, and kept with no image."""

from __future__ import annotations

from collections.abc import Sequence

from roost.daemon.definitions.resolved import IMAGE_FORMAT, TargetedDefinition
from roost.daemon.engines.engine_set import Engines

INTERPRETERS = ("python", "python3")
"""What is looked for where nothing is named: an image without a Python may be run as well."""


def names_interpreter(resolved: TargetedDefinition) -> bool:
    """Whether the definition says where its Python is: then it must be there."""
    return resolved.definition.python.user_managed and resolved.parsed.format != IMAGE_FORMAT


def named_interpreter(resolved: TargetedDefinition) -> str | None:
    """What the definition says."""
    return resolved.definition.python.interpreter if names_interpreter(resolved) else None


class ImageInterpreters:
    """Looks into images of the engine, once for each image and name."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._found: dict[tuple[str, str], str | None] = {}
        """By image id, whose content never changes, and what was looked for."""

    async def find(self, image: str, named: str | None, variables: Sequence[str] | None = None) -> str | None:
        """The path in the image (an id) of ``named``, or of a usual one; ``variables`` are the image's, if they are
        known. ``None``: nothing is named, and nothing is there.

        Raises InterpreterMissingError, and the engine's errors."""
        key = (image, named or "")
        if key not in self._found:
            self._found[key] = await self._look(image, (named,) if named else INTERPRETERS, variables)
        found = self._found[key]
        if found is None and named:
            from roost.daemon.engines.docker.errors import ImageInterpreterMissingError

            raise ImageInterpreterMissingError(
                f"The image has no {named}, which the definition names as its interpreter",
                hint="Name the path that it has in the image under [python] interpreter.",
            )
        return found

    async def _look(self, image: str, names: Sequence[str], variables: Sequence[str] | None) -> str | None:
        engine = await self._engines.docker()
        if variables is None:
            there = await engine.images.find(image)
            variables = there.variables if there is not None else ()
        return await engine.containers.find_in_image(image, names, variables)
