"""Catalogues for the tests, sound ones and such as nobody should take."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from roost.daemon.curated.catalogue import (
    CATALOGUE_TYPE,
    LIMIT,
    Catalogue,
    CatalogueEntry,
    catalogue_reference,
    encode_catalogue,
    make_entry,
)
from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.oci.manifests import EMPTY_JSON, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, describe
from roost.model.definition import Conda, Definition, Settings
from roost.model.records import EnvironmentBody

Json = dict[str, Any]
OTHER = "application/vnd.example.other.v1+json"


def entry(name: str = "Roost-Made", version: int = 1, spec: str = "six") -> CatalogueEntry:
    """A sound version."""
    definition = Definition(conda=Conda(channels=("conda-forge",), dependencies=(spec,)))
    return make_entry(name, version, EnvironmentBody(definition=definition, settings=Settings(variables={"A": "1"})))


def sound(*entries: CatalogueEntry) -> Json:
    """A sound catalogue as JSON, to be spoilt."""
    made: Json = json.loads(
        encode_catalogue(Catalogue(entries=entries or (entry(), entry(version=2, spec="toml")))).blobs[1][1]
    )
    return made


def spoilt(change: Callable[[Json], object]) -> bytes:
    """A catalogue in which ``change`` was made to the second of two versions."""
    made = sound()
    change(made["entries"][1])
    return json.dumps(made).encode()


def resigned(**document: Json) -> bytes:
    """A catalogue whose second version has those sections, and digests that would be right for them."""
    return spoilt(lambda each: each["document"].update(document))


def nested(depth: int) -> bytes:
    text = json.dumps(sound())
    return text.replace('"A": "1"', '"A": ' + "[" * depth + "]" * depth).encode()


# Name of the fault to the catalogue's bytes, and what the refusal must say of it and of where it is.
CONTENTS: dict[str, tuple[bytes, str]] = {
    "truncated": (json.dumps(sound()).encode()[:-40], "can't be read as JSON"),
    "no JSON": (b"\xff\xfe\x00", "can't be read as JSON"),
    "no object": (b"[]", "Expected `object`"),
    "no entries' list": (b'{"format":1,"entries":{}}', "entries"),
    "a later format": (b'{"format":2,"entries":[],"new":1}', "reads up to 1"),
    "no such format": (b'{"format":0,"entries":[]}', "format"),
    "an unknown field": (json.dumps({**sound(), "extra": 1}).encode(), "extra"),
    "an unknown field of a version": (spoilt(lambda each: each.update(extra=1)), "entries[1]"),
    "a field that is missing": (spoilt(lambda each: each.pop("defaults")), "defaults"),
    "version 0": (spoilt(lambda each: each.update(version=0)), "entries[1].version"),
    "version -1": (spoilt(lambda each: each.update(version=-1)), "entries[1].version"),
    "a version that is no number": (spoilt(lambda each: each.update(version="2")), "entries[1].version"),
    "a version beyond all numbers": (spoilt(lambda each: each.update(version=10**18)), "entries[1].version"),
    "a name of nobody's": (spoilt(lambda each: each.update(name="Made")), "entries[1].name"),
    "a name in small letters": (spoilt(lambda each: each.update(name="roost-made")), "entries[1].name"),
    "the prefix alone": (spoilt(lambda each: each.update(name="Roost-")), "entries[1].name"),
    "an empty name": (spoilt(lambda each: each.update(name="")), "entries[1].name"),
    "a name that climbs": (spoilt(lambda each: each.update(name="Roost-/../../../etc/passwd")), "entries[1].name"),
    "a look-alike": (spoilt(lambda each: each.update(name="Roost-M\u0430de")), "U+0430"),
    "a very long name": (spoilt(lambda each: each.update(name="Roost-" + "x" * 10_000)), "entries[1].name"),
    "the same version twice": (spoilt(lambda each: each.update(version=1)), "entries[1]: Roost-Made:1 is entries[0]"),
    "two spellings of one name": (spoilt(lambda each: each.update(name="Roost-MADE")), "is also spelled Roost-Made"),
    "a lie about the definition": (
        spoilt(lambda each: each.update(definition_digest="sha256:" + "0" * 64)),
        "entries[1].definition_digest",
    ),
    "a lie about the settings": (spoilt(lambda each: each.update(settings_digest="")), "entries[1].settings_digest"),
    "another definition": (resigned(conda={"dependencies": ["evil"]}), "entries[1].definition_digest"),
    "other settings": (resigned(variables={"A": "2"}), "entries[1].settings_digest"),
    "other defaults": (
        spoilt(lambda each: each["defaults"].update(base_image="evil:1")),
        "entries[1].definition_digest",
    ),
    "a section that is none": (resigned(nonsense={}), "entries[1].document"),
    "a key that is none": (resigned(conda={"packages": []}), "entries[1].document"),
    "a value of another shape": (resigned(conda={"dependencies": "six"}), "entries[1].document"),
    "a package on disk": (resigned(conda={"dependencies": ["six-1-0.conda"]}), "entries[1].document"),
    "a local channel": (resigned(conda={"channels": ["/opt/channel"]}), "/opt/channel is a folder of one machine"),
    "a local channel in a spec": (resigned(conda={"dependencies": ["file:///opt::six"]}), "of one machine"),
    "a local package": (resigned(conda={"explicit": {"linux-64": ["file:///x.conda"]}}), "of one machine"),
    "a nested file": (resigned(pip={"requirements": ["-r /etc/hostname"]}), "/etc/hostname"),
    "a file to read": (resigned(base={"dockerfile": "/etc/passwd"}), "/etc/passwd"),
    "a folder to read": (resigned(base={"context": "../.."}), "entries[1].document"),
    "a build context": (resigned(base={"context": {"digest": "sha256:" + "0" * 64, "path": "/"}}), "build context"),
    "a local wheel": (
        resigned(pip={"requirements": [{"kind": "wheel", "text": "a-1-py3-none-any.whl", "path": "/a.whl"}]}),
        "of one machine",
    ),
    "an editable folder": (
        resigned(pip={"requirements": [{"kind": "editable", "text": "root", "path": "/root"}]}),
        "of one machine",
    ),
    "an index on disk": (resigned(pip={"requirements": ["--find-links /srv/wheels"]}), "/srv/wheels"),
    "constraints that climb": (
        resigned(pip={"requirements": [{"kind": "constraints", "text": "../c", "path": "../c", "items": []}]}),
        "of one machine",
    ),
    "a line with another in it": (
        resigned(pip={"requirements": [{"kind": "requirement", "text": "six\n--index-url https://evil.example"}]}),
        "of one machine",
    ),
    "credentials in a channel": (resigned(conda={"channels": ["https://me:secret@c.example/x"]}), "credentials"),
    "credentials in a Dockerfile": (
        resigned(base={"dockerfile": "FROM a\nRUN curl https://me:secret@c.example/x\n"}),
        "credentials",
    ),
    "a way to start containers": (resigned(container={"arguments": ["--privileged"]}), "container.arguments"),
    "an interpreter of somebody's": (
        resigned(python={"user_managed": True, "interpreter": "/home/me/python"}),
        "/home/me/python",
    ),
    "a local channel by default": (
        spoilt(lambda each: each["defaults"].update(channels=["/opt/channel"])),
        "entries[1].defaults",
    ),
    "nested very deeply": (nested(20_000), "nested too deeply"),
}


async def put(location: str, data: bytes, *, kind: str = CATALOGUE_TYPE, layer_kind: str | None = None) -> None:
    """Write ``data`` where the catalogue of ``location`` is."""
    manifest = _manifest(data, kind, layer_kind or kind)
    await _put(location, [data, EMPTY_JSON], json.dumps(manifest).encode(), OCI_MANIFEST)


async def put_index(location: str) -> None:
    """Something else that may stand under a tag."""
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    await _put(location, [], json.dumps(index).encode(), OCI_INDEX)


async def put_layers(location: str, count: int) -> None:
    """So many catalogues in one."""
    data = json.dumps(sound()).encode()
    manifest = _manifest(data, CATALOGUE_TYPE, CATALOGUE_TYPE)
    manifest["layers"] *= count
    await _put(location, [data, EMPTY_JSON], json.dumps(manifest).encode(), OCI_MANIFEST)


async def put_sized(location: str, size: int) -> None:
    """A manifest that gives its content another size."""
    data = json.dumps(sound()).encode()
    manifest = _manifest(data, CATALOGUE_TYPE, CATALOGUE_TYPE)
    manifest["layers"][0]["size"] = size
    await _put(location, [data, EMPTY_JSON], json.dumps(manifest).encode(), OCI_MANIFEST)


async def put_huge(location: str) -> None:
    """More than anybody reads, and sound JSON."""
    await put(location, json.dumps(sound()).encode() + b" " * LIMIT)


def _manifest(data: bytes, kind: str, layer_kind: str) -> Json:
    layer, config = describe(data, layer_kind), describe(EMPTY_JSON, OCI_EMPTY)
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": {"mediaType": OCI_EMPTY, "digest": config.digest, "size": config.size},
        "layers": [{"mediaType": layer_kind, "digest": layer.digest, "size": layer.size}],
    }


async def _put(location: str, blobs: list[bytes], manifest: bytes, media_type: str) -> None:
    registry = RegistryClient(RegistryConfig(retries=0))
    reference = catalogue_reference(location)
    try:
        for blob in blobs:
            await registry.push_blob(reference, blob, describe(blob, "application/octet-stream"))
        await registry.push_manifest(reference, manifest, media_type)
    finally:
        await registry.close()


# What is wrong before anything is read of it.
SHAPES: dict[str, tuple[Callable[[str], Any], str]] = {
    "another artifact": (lambda place: put(place, b"{}", kind=OTHER), OTHER),
    "other content": (lambda place: put(place, b"{}", layer_kind=OTHER), OTHER),
    "an index": (put_index, OCI_INDEX),
    "two at once": (lambda place: put_layers(place, 2), "where one"),
    "none at all": (lambda place: put_layers(place, 0), "nothing"),
    "too large": (put_huge, "the limit is 16,777,216"),
    "larger than it says": (lambda place: put_sized(place, 10), "10 bytes"),
    "smaller than it says": (lambda place: put_sized(place, 100_000), "its manifest says 100,000"),
}
