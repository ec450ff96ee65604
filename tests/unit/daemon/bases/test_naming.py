"""Names of images in engines and registries, keys, and link scripts as docker steps."""

from __future__ import annotations

import msgspec
import pytest

from roost.daemon.bases.naming import count_shared_layers, definition_tag, engine_reference, image_repository, key_tag
from roost.daemon.engines.docker.building.steps import parse_steps
from roost.daemon.images.config import image_key
from roost.daemon.images.requests import image_key_of
from roost.daemon.images.scripts import script_steps
from roost.daemon.oci.references import parse_reference
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, digest_lock

KEY = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train", "train"),
        ("My Env_2!", "my-env-2"),
        ("--", "environment"),
        (None, "environment"),
        ("ä" * 9, "environment"),
    ],
)
def test_any_name_becomes_a_reference_that_docker_takes(name: str | None, expected: str) -> None:
    reference = engine_reference(name, KEY)
    assert reference == f"roost/{expected}:0123456789ab"
    assert parse_reference(reference).tag == "0123456789ab"
    assert len(parse_reference(engine_reference("x" * 500, KEY)).repository) < 120


def test_tags_of_registries_are_tags() -> None:
    repository = image_repository("reg.example.org:5000/team")
    assert (repository.host, repository.repository) == ("reg.example.org:5000", "team/images")
    for tag in (key_tag(KEY), definition_tag(KEY, OTHER)):
        assert repository.with_tag(tag).tag == tag


def test_a_lock_of_nothing_plays_no_part_in_the_key() -> None:
    nothing = digest_lock(Lock(platform="linux-64", provider=CondaPython()))
    assert image_key_of(nothing, "linux-64", OTHER, None) == image_key(None, OTHER, None)
    assert image_key_of(KEY, "linux-64", OTHER, None) == image_key(KEY, OTHER, None)


def test_images_share_layers_from_the_bottom_only() -> None:
    assert count_shared_layers(["a", "b", "c"], ["a", "b", "x", "c"]) == 2
    assert count_shared_layers([], ["a"]) == 0


def test_scripts_are_one_instruction_each_and_the_images_user_stays() -> None:
    package = CondaPackage(
        name="hook", version="1'0", build="0", subdir="noarch", file_name="f", url="u", sha256="0", record={}
    )
    lock = Lock(platform="linux-64", provider=CondaPython(), conda=(package,))
    plain = script_steps(lock, ["hook"], b'{"config": {}}')
    assert len(plain) == 1
    parse_steps(plain)
    own = script_steps(lock, ["hook"], msgspec.json.encode({"config": {"User": "app"}}))
    assert (own[0], own[-1]) == ("USER root", "USER app")
    parse_steps(own)
