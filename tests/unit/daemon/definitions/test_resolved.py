"""A definition for one target: its platform, and what its generations are counted under."""

from __future__ import annotations

from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import RUN_FORMAT, ResolvedDefinition, target_definition
from roost.daemon.oci.target_platforms import local_platform
from roost.model.definition import Base, Conda, Definition, Pip, PipItem, ReadResult, Settings
from roost.model.records import HOST_SCOPE
from roost.wire.plans import SourceView

CONDA = Definition(conda=Conda(dependencies=("numpy",)))
PIP = Definition(pip=Pip(requirements=(PipItem(kind="requirement", text="six"),)))
EDITABLE = Definition(
    conda=Conda(dependencies=("python",)), pip=Pip(requirements=(PipItem(kind="editable", text="-e .", path="/x"),))
)
HERE = local_platform({})


def resolved(definition: Definition, format: str = "environment.yml") -> ResolvedDefinition:
    return ResolvedDefinition(
        parsed=ReadResult(definition=definition, settings=Settings(), format=format),
        digest="sha256:" + "0" * 64,
        canonical=b"{}",
        settings_digest="sha256:" + "1" * 64,
        settings_canonical=b"{}",
        source=SourceView(path=None, format=format, name=None),
        warnings=[],
    )


def test_conda_packages_give_generations_of_the_plain_platform() -> None:
    assert resolved(CONDA).for_prefix().generation_scope == HERE


def test_a_prefix_on_a_python_of_this_machine_counts_apart() -> None:
    targeted = resolved(PIP).for_prefix()
    assert targeted.uses_host_python
    assert targeted.generation_scope == HERE + HOST_SCOPE


def test_a_prefix_with_an_editable_folder_counts_apart() -> None:
    targeted = resolved(EDITABLE).for_prefix()
    assert not targeted.uses_host_python
    assert targeted.generation_scope == HERE + HOST_SCOPE


def test_an_image_has_nothing_of_this_machine() -> None:
    for definition in (PIP, EDITABLE):
        targeted = resolved(definition).for_image()
        assert targeted.is_image
        assert not targeted.uses_host_python
        assert targeted.generation_scope == targeted.platform


def test_an_image_is_for_the_platform_that_its_base_names() -> None:
    definition = Definition(base=Base(image="debian:12", platform="linux/arm64"))
    assert resolved(definition).for_image().platform == "linux-aarch64"


def test_the_target_follows_the_request() -> None:
    found = resolved(CONDA)
    assert not target_definition(found, Request(definition=CONDA)).is_image
    assert target_definition(found, Request(definition=CONDA, target="docker")).is_image


def test_a_targeted_definition_becomes_an_image_and_never_a_prefix_again() -> None:
    image = resolved(CONDA).for_prefix().for_image()
    assert image.is_image
    assert image.for_prefix() is image
    assert image.for_image() is image


def test_what_a_run_used_counts_under_the_recorded_platform() -> None:
    assert resolved(PIP, RUN_FORMAT).for_prefix().generation_scope == HERE
