"""The config and manifest of an image: the base's kept, the layers' added, the same bytes every time."""

from __future__ import annotations

import hashlib
import json

import pytest

from roost.daemon.images.config import (
    CREATED,
    apply_changes,
    empty_base,
    find_created_date,
    has_environment,
    image_config,
    image_key,
    packages_of_layers,
)
from roost.daemon.layers.grouping import Layer, LayerContent
from roost.daemon.oci.manifests import DOCKER_LAYER_GZIP, OCI_LAYER_GZIP, Descriptor, image_manifest, parse_manifest
from roost.model.locks.lock import CondaPackage, CondaPython, Lock
from roost.model.records import VariableChange

LAYER = Layer(diff_id="sha256:" + "1" * 64, digest="sha256:" + "2" * 64, size=9, path="/x", packages=("numpy 2.1",))
BASE = {
    "architecture": "amd64",
    "os": "linux",
    "container": "abc",
    "docker_version": "20.10",
    "config": {"Env": ["PATH=/usr/bin", "LANG=C"], "Cmd": ["sh"], "Labels": {"a": "b"}, "User": "app"},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
    "history": [{"created_by": "ENV x", "empty_layer": True}],
}
CHANGES = (
    VariableChange(name="PATH", action="prepend", value="/opt/roost/env/bin"),
    VariableChange(name="CONDA_PREFIX", action="set", value="/opt/roost/env"),
    VariableChange(name="LANG", action="unset"),
)


def base(**more: object) -> bytes:
    return json.dumps({**BASE, **more}).encode()


def test_layers_and_activation_are_put_on_the_base() -> None:
    content = LayerContent(layers=(LAYER,), activation=CHANGES)
    made = json.loads(image_config(base(), content, labels={"org.roost.lock": "sha256:l"}))
    assert made["rootfs"]["diff_ids"] == ["sha256:" + "0" * 64, LAYER.diff_id]
    assert made["config"]["Env"] == ["PATH=/opt/roost/env/bin:/usr/bin", "CONDA_PREFIX=/opt/roost/env"]
    assert made["config"]["Labels"] == {"a": "b", "org.roost.lock": "sha256:l"}
    assert (made["config"]["Cmd"], made["config"]["User"], made["created"]) == (["sh"], "app", CREATED)
    assert not {"container", "docker_version"} & made.keys()


def test_what_roost_said_of_the_base_is_not_said_of_what_is_put_on_it() -> None:
    said = {"a": "b", "org.roost.steps": "sha256:s", "org.roost.image": "sha256:k"}
    below = base(config={**BASE["config"], "Labels": said})  # type: ignore[dict-item]
    made = json.loads(image_config(below, LayerContent(), labels={"org.roost.image": "sha256:own"}))
    assert made["config"]["Labels"] == {"a": "b", "org.roost.image": "sha256:own"}
    assert json.loads(image_config(below, LayerContent()))["config"]["Labels"] == {"a": "b"}


def test_history_has_one_entry_for_each_layer() -> None:
    made = json.loads(image_config(base(), LayerContent(layers=(LAYER,))))
    told = [entry for entry in made["history"] if not entry.get("empty_layer")]
    assert len(told) == len(made["rootfs"]["diff_ids"]) == 2
    assert "numpy 2.1" in told[-1]["created_by"]


def test_without_layers_only_labels_are_added() -> None:
    made = json.loads(image_config(base(), LayerContent(), labels={"x": "y"}))
    assert made["rootfs"] == BASE["rootfs"]
    assert made["config"]["Env"] == ["PATH=/usr/bin", "LANG=C"]


def test_the_order_of_keys_in_the_base_is_of_no_matter() -> None:
    turned = json.dumps(dict(reversed(list(BASE.items())))).encode()
    assert image_config(turned, LayerContent()) == image_config(base(), LayerContent())


def test_no_base_is_an_image_of_its_platform() -> None:
    made = json.loads(image_config(empty_base("linux/arm/v7"), LayerContent(layers=(LAYER,), activation=CHANGES)))
    assert (made["os"], made["architecture"], made["variant"]) == ("linux", "arm", "v7")
    assert made["config"]["Env"][0].startswith("PATH=/opt/roost/env/bin:/usr/local/sbin:")
    assert made["rootfs"]["diff_ids"] == [LAYER.diff_id]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (VariableChange(name="A", action="append", value="z", separator=";"), ["A=1;z", "B="]),
        (VariableChange(name="B", action="prepend", value="z"), ["A=1", "B=z"]),
        (VariableChange(name="C", action="unset"), ["A=1", "B="]),
        (VariableChange(name="C", action="append", value="a=b"), ["A=1", "B=", "C=a=b"]),
    ],
)
def test_changes_of_variables(change: VariableChange, expected: list[str]) -> None:
    assert apply_changes(["A=1", "B="], [change]) == expected


def test_the_manifest_is_read_back() -> None:
    config = image_config(base(), LayerContent(layers=(LAYER,)))
    below = Descriptor(media_type=DOCKER_LAYER_GZIP, digest="sha256:" + "3" * 64, size=1)
    manifest = parse_manifest(image_manifest(config, [below, LAYER.descriptor]))
    assert manifest.config.digest == "sha256:" + hashlib.sha256(config).hexdigest()
    assert [layer.digest for layer in manifest.layers] == [below.digest, LAYER.digest]
    assert manifest.layers[1].media_type == OCI_LAYER_GZIP


def test_the_key_tells_lock_base_and_steps_apart() -> None:
    threes = [("a", "b", None), ("a", None, "b"), (None, "a", "b"), ("b", "a", None), ("a", None, None)]
    assert len({image_key(*three) for three in threes}) == len(threes)
    golden = b'{"base":"b","format":1,"lock":"a","steps":null}'
    assert image_key("a", "b", None) == "sha256:" + hashlib.sha256(golden).hexdigest()


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [((1_672_531_200_000, 1_600_000_000_000), "2023-01-01T00:00:00Z"), ((1_672_531_200,), "2023-01-01T00:00:00Z"),
     ((), CREATED), ((1 << 62,), CREATED)],
)  # fmt: skip
def test_created_is_when_the_newest_package_was_built(stamps: tuple[int, ...], expected: str) -> None:
    packages = tuple(
        CondaPackage(name=f"p{n}", version="1", build="0", subdir="noarch", file_name="f", url="u", sha256="",
                     record={"timestamp": stamp})
        for n, stamp in enumerate(stamps)
    )  # fmt: skip
    assert find_created_date(Lock(platform="linux-64", provider=CondaPython(), conda=packages)) == expected


def test_a_base_with_an_environment_is_known_by_what_its_config_tells() -> None:
    assert not has_environment(base())
    assert not has_environment(empty_base("linux/amd64"))
    assert has_environment(image_config(base(), LayerContent(), labels={"org.roost.lock": "sha256:l"}))
    assert has_environment(image_config(base(), LayerContent(layers=(LAYER,))))
    assert has_environment(image_config(base(), LayerContent(activation=CHANGES)))
    assert has_environment(base(history=[{"created_by": "COPY dir:1 in /opt/roost/env "}]))


def test_layers_of_another_environment_below_name_no_packages_though_the_same_one_lies_above() -> None:
    other = Layer(diff_id="sha256:" + "3" * 64, digest="sha256:" + "4" * 64, size=9, path="/x", packages=("six 1.16",))
    empty = Layer(diff_id="sha256:" + "5" * 64, digest="sha256:" + "6" * 64, size=9, path="/x", clears=True)
    below = image_config(base(), LayerContent(layers=(other, LAYER)))
    assert packages_of_layers(below) == [(), ("six 1.16",), ("numpy 2.1",)]
    made = image_config(below, LayerContent(layers=(empty, LAYER)))
    assert packages_of_layers(made) == [(), (), (), (), ("numpy 2.1",)]


CLEARED = (VariableChange(name="PYTHONPATH", action="unset"), VariableChange(name="PYTHONHOME", action="unset"))


def test_variables_of_the_base_that_would_beat_the_lock_are_cleared() -> None:
    below = base(config={"Env": ["PYTHONHOME=/usr", "A=1", "PYTHONPATH=/old"]})
    made = json.loads(image_config(below, LayerContent(activation=CHANGES[1:2]), changes=CLEARED))
    assert made["config"]["Env"] == ["A=1", "CONDA_PREFIX=/opt/roost/env"]


def test_a_base_without_them_gives_the_same_bytes() -> None:
    content = LayerContent(layers=(LAYER,), activation=CHANGES)
    assert image_config(base(), content, changes=CLEARED) == image_config(base(), content)


def test_a_base_without_packages_on_it_keeps_its_variables() -> None:
    below = base(config={"Env": ["PYTHONPATH=/old"]})
    assert json.loads(image_config(below, LayerContent(), changes=CLEARED))["config"]["Env"] == ["PYTHONPATH=/old"]
