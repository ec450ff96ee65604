"""What ``Environment.get_image_details`` tells."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

Json = builtins.dict[str, Any]


class DockerImageDetails(dict[str, Any]):
    """One image: a mapping laid out as Azure's, with properties. ``None``: not known, or not there yet.

    What only roost tells is under the key ``roost``, as ``roost image show --json`` prints it.
    """

    @staticmethod
    def of_answer(answer: Mapping[str, Any]) -> DockerImageDetails:
        """From the answer of ``POST /v1/images/show``."""
        python = answer["python"]
        dependencies: list[Any] = [*python["conda"], *([{"pip": python["pip"]}] if python["pip"] else [])]
        return DockerImageDetails(
            imageExistsInRegistry=answer["exists_in_registry"],
            dockerImage={"name": answer["repository"] or answer["image"], "registry": {"address": answer["registry"]}},
            pythonEnvironment={
                "interpreterPath": answer["interpreter_path"],
                "condaEnvironmentPath": answer["environment_path"],
                "condaEnvironmentDefinition": {"channels": python["channels"], "dependencies": dependencies},
            },
            ingredients={"dockerfile": answer["dockerfile"]},
            roost=builtins.dict(answer),
        )

    @property
    def image_exist(self) -> bool:
        """Whether a registry is known to have it."""
        return bool(self["imageExistsInRegistry"])

    @property
    def exists_in_engine(self) -> bool | None:
        """Whether the container engine has it; ``None``: the engine does not answer."""
        there: bool | None = self["roost"]["exists_in_engine"]
        return there

    @property
    def repository(self) -> str | None:
        """In the registry; where no registry has it, its name in the engine."""
        return _text(self["dockerImage"]["name"])

    @property
    def registry(self) -> str | None:
        """Address of the registry that has it."""
        return _text(self["dockerImage"]["registry"]["address"])

    @property
    def image(self) -> str | None:
        """Its name with the registry's address, if any."""
        return "/".join(part for part in (self.registry, self.repository) if part) or None

    @property
    def reference(self) -> str | None:
        """In the registry, with the tag."""
        return _text(self["roost"]["reference"])

    @property
    def digest(self) -> str | None:
        """``sha256:…`` of its config: the same on every machine."""
        return _text(self["roost"]["digest"])

    @property
    def manifest_digest(self) -> str | None:
        """``sha256:…`` of its manifest in the registry."""
        return _text(self["roost"]["manifest_digest"])

    @property
    def interpreter_path(self) -> str | None:
        """Of Python, in the image."""
        return _text(self["pythonEnvironment"]["interpreterPath"])

    @property
    def environment_path(self) -> str | None:
        """Of the conda prefix, in the image."""
        return _text(self["pythonEnvironment"]["condaEnvironmentPath"])

    @property
    def dockerfile(self) -> str | None:
        """What the image's base and steps are as a Dockerfile."""
        return _text(self["ingredients"]["dockerfile"])

    @property
    def layers(self) -> list[Json]:
        """From the bottom: ``diff_id``, ``size`` in bytes, ``packages`` (none: of the base, or of no package)."""
        return [{"packages": [], **layer} for layer in self["roost"]["layers"]]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
