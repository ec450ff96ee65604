"""The result of ``Environment.get_image_details``."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

Json = builtins.dict[str, Any]


class DockerImageDetails(dict[str, Any]):
    """One image: a mapping in Azure's layout, with properties. ``None``: not known, or the image does not exist yet.

    The answer of the daemon, as ``roost image show --json`` prints it, is under the key ``roost``.
    """

    @staticmethod
    def of_answer(answer: Mapping[str, Any]) -> DockerImageDetails:
        """Return the details from the answer of ``POST /v1/images/show``."""
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
        """Whether a registry is known to have the image."""
        return bool(self["imageExistsInRegistry"])

    @property
    def exists_in_engine(self) -> bool | None:
        """Whether the container engine has the image; ``None`` if the engine does not answer."""
        exists: bool | None = self["roost"]["exists_in_engine"]
        return exists

    @property
    def repository(self) -> str | None:
        """The repository in the registry; if no registry has the image, its name in the engine."""
        return _optional_text(self["dockerImage"]["name"])

    @property
    def registry(self) -> str | None:
        """Address of the registry that has the image."""
        return _optional_text(self["dockerImage"]["registry"]["address"])

    @property
    def image(self) -> str | None:
        """The repository with the registry's address before it, if there is one."""
        return "/".join(part for part in (self.registry, self.repository) if part) or None

    @property
    def reference(self) -> str | None:
        """The reference in the registry, with the tag."""
        return _optional_text(self["roost"]["reference"])

    @property
    def digest(self) -> str | None:
        """``sha256:…`` of the image's config: the same on every machine."""
        return _optional_text(self["roost"]["digest"])

    @property
    def manifest_digest(self) -> str | None:
        """``sha256:…`` of the image's manifest in the registry."""
        return _optional_text(self["roost"]["manifest_digest"])

    @property
    def interpreter_path(self) -> str | None:
        """Path of Python in the image."""
        return _optional_text(self["pythonEnvironment"]["interpreterPath"])

    @property
    def environment_path(self) -> str | None:
        """Path of the conda prefix in the image."""
        return _optional_text(self["pythonEnvironment"]["condaEnvironmentPath"])

    @property
    def dockerfile(self) -> str | None:
        """The image's base and steps as a Dockerfile."""
        return _optional_text(self["ingredients"]["dockerfile"])

    @property
    def layers(self) -> list[Json]:
        """The layers, lowest first: ``diff_id``, ``size`` in bytes, ``packages`` (empty for layers of the base, and for
        those without packages)."""
        return [{"packages": [], **layer} for layer in self["roost"]["layers"]]


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)
