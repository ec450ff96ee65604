"""An inventory, from locks to documents."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest
from tests.support.sboms import ENCODINGS, context, find_faults, request

from roost.daemon.sbom import writing
from roost.daemon.sbom.identifiers import conda_purl, image_purl, public_url, source_reference, wheel_purl
from roost.daemon.sbom.inventory import AskedPackage, BaseImage
from roost.daemon.sbom.writing import SbomLibraryMissingError, write_inventory
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Jar, Lock, RPackage, Wheel, WheelSource

SECRET = "s3cr3t"
PYTHON = CondaPackage(
    name="python", version="3.11.4", build="h1_0", subdir="linux-64", file_name="python-3.11.4-h1_0.conda",
    url=f"https://conda.example/t/{SECRET}/main/linux-64/python-3.11.4-h1_0.conda", sha256="a" * 64,
    record={"license": "Python-2.0", "depends": ["libfoo >=1", "__glibc >=2.17"], "timestamp": 1_700_000_000_000},
)  # fmt: skip
LIBFOO = CondaPackage(
    name="LibFoo", version="1!2.0", build="0", subdir="noarch", file_name="libfoo-2.0-0.tar.bz2",
    url="file:///channel/noarch/libfoo-2.0-0.tar.bz2", sha256="",
    record={"md5": "b" * 32, "license": "BSD", "depends": []},
)  # fmt: skip
WHEELS = (
    Wheel(
        name="top", version="1.0+cu12", file_name="top-1.0+cu12-py3-none-any.whl", sha256="c" * 64,
        url=f"https://me:{SECRET}@index.example/top-1.0+cu12-py3-none-any.whl?token={SECRET}",
        requires=("low", "libfoo", "gone"),
    ),
    Wheel(name="low", version="2", file_name="low-2-py3-none-any.whl", sha256="d" * 64, url="https://index.example/low.whl"),
    Wheel(
        name="forked", version="3", kind="built", sha256="e" * 64,
        source=WheelSource(kind="git", url=f"https://me:{SECRET}@git.example/forked.git", commit="f" * 40),
    ),
    Wheel(name="mine", version="0.1", kind="editable", path="/home/somebody/mine", sha256="0" * 64),
)  # fmt: skip
LOCK = Lock(platform="linux-64", provider=CondaPython(), conda=(PYTHON, LIBFOO), wheels=WHEELS)
ASKED = (
    AskedPackage(kind="pip", name="top"),
    AskedPackage(kind="conda", name="python"),
    AskedPackage(kind="pip", name="mine"),
)


def cyclonedx(lock: Lock = LOCK, **fields: object) -> dict:
    return json.loads(write_inventory(request(lock, asked=ASKED, **fields), context()).text)


def components(document: dict) -> dict[str, dict]:
    return {each["name"]: each for each in document["components"]}


def edges(document: dict) -> dict[str, set[str]]:
    names = {each["bom-ref"]: each["name"] for each in document["components"]} | {"environment": "environment"}
    return {names[each["ref"]]: {names[to] for to in each.get("dependsOn", [])} for each in document["dependencies"]}


def test_conda_and_pip_are_in_one_document_with_what_each_requires() -> None:
    document = cyclonedx()
    assert edges(document) == {
        "environment": {"top", "python", "mine"}, "python": {"LibFoo"}, "LibFoo": set(), "top": {"low", "LibFoo"},
        "low": set(), "forked": set(), "mine": set(),
    }  # fmt: skip
    found = components(document)
    assert found["python"]["licenses"] == [{"license": {"id": "Python-2.0"}}]
    assert found["LibFoo"]["licenses"] == [{"license": {"name": "BSD"}}]
    assert found["LibFoo"]["hashes"] == [{"alg": "MD5", "content": "b" * 32}]
    assert found["python"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert found["mine"].get("hashes") is None, "the digest of its build files is not that of a file"
    unknown = next(each for each in document["compositions"] if each["aggregate"] == "unknown")["dependencies"]
    assert {each["name"] for each in found.values() if each["bom-ref"] in unknown} == {"low", "forked", "mine"}


def test_package_urls_follow_the_specification() -> None:
    assert conda_purl(PYTHON) == "pkg:conda/python@3.11.4?build=h1_0&channel=main&subdir=linux-64&type=conda"
    assert conda_purl(LIBFOO) == "pkg:conda/libfoo@1%212.0?build=0&channel=channel&subdir=noarch&type=tar.bz2"
    assert wheel_purl(WHEELS[0]) == "pkg:pypi/top@1.0%2Bcu12?file_name=top-1.0%2Bcu12-py3-none-any.whl"
    assert wheel_purl(WHEELS[2]) == f"pkg:pypi/forked@3?vcs_url=git%2Bhttps://git.example/forked.git%40{'f' * 40}"
    assert image_purl("ghcr.io/a/b:v1", "sha256:1") == "pkg:oci/b@sha256:1?repository_url=ghcr.io/a/b&tag=v1"
    assert image_purl("localhost:5000/b", "") == "pkg:oci/b?repository_url=localhost:5000/b"


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://h.example/a b/ü.whl", "https://h.example/a%20b/%C3%BC.whl"),
        (f"https://{SECRET}@h.example/a.whl#x", "https://h.example/a.whl#x"),
        (f"https://h.example/t/{SECRET}/c/a.conda", "https://h.example/c/a.conda"),
        (f"https://h.example/a.whl?X-Amz-Signature={SECRET}", "https://h.example/a.whl"),
        ("file:///home/me/a.whl", ""),
        ("https://${HOST}/a.whl", ""),
        ("https://[::1/a.whl", ""),
        ("not a url", ""),
        (None, ""),
    ],
)
def test_an_address_is_one_that_others_can_open(url: str | None, public: str) -> None:
    assert public_url(url) == public


def test_a_source_is_named_with_its_commit_only() -> None:
    assert source_reference(f"git+https://{SECRET}@g.example/r", "abc") == "git+https://g.example/r@abc"
    assert source_reference("https://g.example/r", "") == source_reference("/home/me/r", "abc") == ""


@pytest.mark.parametrize(("format", "encoding"), ENCODINGS)
def test_every_document_is_valid_and_has_no_secret_and_no_folder(format: str, encoding: str) -> None:
    lock = msgspec.structs.replace(
        LOCK,
        jars=(Jar(group="org.x", name="y", version="1", file_name="y.jar", sha256="1" * 64),),
        r=(RPackage(name="ggplot2", version="3", file_name="g.tar.gz", sha256="2" * 64),),
    )
    asked = request(
        lock, format=format, encoding=encoding, asked=ASKED, base=BaseImage(reference="debian:12-slim"), gaps=("Gap.",)
    )
    written = write_inventory(asked, context())
    assert find_faults(written.text, format, encoding) == []
    for part in (SECRET, "/home/somebody", "file://"):
        assert part not in written.text
    assert written.packages == 9
    assert written.gaps == ("Gap.", "The packages in the base image are not listed.")
    assert (written.unknown_licences, written.unknown_requirements) == (4, 3)


@pytest.mark.parametrize(("format", "encoding"), ENCODINGS)
def test_the_same_lock_gives_the_same_bytes(format: str, encoding: str) -> None:
    texts = set()
    for seed in range(3):
        conda, wheels = list(LOCK.conda), list(LOCK.wheels)
        random.Random(seed).shuffle(conda)
        random.Random(seed).shuffle(wheels)
        lock = msgspec.structs.replace(LOCK, conda=tuple(conda), wheels=tuple(wheels))
        texts.add(write_inventory(request(lock, format=format, encoding=encoding, asked=ASKED), context()).text)
    assert len(texts) == 1


def test_times_are_those_of_the_lock() -> None:
    assert cyclonedx()["metadata"]["timestamp"] == "2026-01-02T03:04:05+00:00"
    assert cyclonedx(created=None)["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00", "of the newest package"
    empty = Lock(platform="linux-64", provider=CondaPython())
    assert cyclonedx(empty, created=None)["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"
    assert cyclonedx()["serialNumber"] == cyclonedx(created=None)["serialNumber"] != cyclonedx(empty)["serialNumber"]


def test_what_platforms_share_is_one_component() -> None:
    other = msgspec.structs.replace(
        LOCK, platform="osx-arm64", conda=(msgspec.structs.replace(PYTHON, subdir="osx-arm64", sha256="9" * 64), LIBFOO)
    )
    document = json.loads(write_inventory(request(LOCK, other, asked=ASKED), context()).text)
    platforms = {
        each["bom-ref"].partition("?")[0]: [
            one["value"] for one in each["properties"] if one["name"] == "roost:platform"
        ]
        for each in document["components"]
    }
    assert platforms["pkg:conda/libfoo@1%212.0"] == ["linux-64", "osx-arm64"]
    assert sum(each["name"] == "python" for each in document["components"]) == 2
    root = next(each for each in document["dependencies"] if each["ref"] == "environment")["dependsOn"]
    assert len(root) == 4, "python of each platform, top and mine"


def test_pythons_of_machines_and_images_are_gaps() -> None:
    lock = Lock(platform="linux-64", provider=HostPython(version="3.11"), wheels=WHEELS[:2])
    document = cyclonedx(lock, base=BaseImage(reference="debian:12-slim", digest="sha256:" + "7" * 64))
    assert document["compositions"][0] == {"aggregate": "incomplete", "assemblies": ["environment"]}
    found = components(document)
    assert found["cpython"]["type"] == "platform"
    assert found["debian:12-slim"]["version"] == "sha256:" + "7" * 64
    assert edges(document)["environment"] == {"top", "cpython", "debian:12-slim"}
    assert cyclonedx()["compositions"][0]["aggregate"] == "complete"


def test_licences_and_requirements_of_wheels_come_from_the_prefix(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages"
    for folder, text in {
        "low-2.dist-info": "Name: low\nVersion: 2\nLicense: MIT\nRequires-Dist: forked\n",
        "forked-9.dist-info": "Name: forked\nVersion: 9\nLicense: MIT\n",
        "mine-0.2.dist-info": "Name: mine\nVersion: 0.2\nLicense: own\n",
    }.items():
        (site / folder).mkdir(parents=True)
        (site / folder / "METADATA").write_text(text)
    document = cyclonedx(prefix=str(tmp_path))
    found = components(document)
    assert found["low"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert "licenses" not in found["forked"], "another version is installed than the lock has"
    assert found["mine"]["licenses"] == [{"license": {"name": "own"}}]
    assert edges(document)["low"] == {"forked"}


def test_xml_has_the_same_dependencies_and_compositions() -> None:
    text = write_inventory(request(LOCK, encoding="xml", asked=ASKED, gaps=("Gap.",)), context()).text
    root = ElementTree.fromstring(text)
    space = {"b": "http://cyclonedx.org/schema/bom/1.6"}
    counts = {each.get("ref"): len(each) for each in root.findall("b:dependencies/b:dependency", space)}
    assert counts["environment"] == 3
    assert [each.text for each in root.findall("b:compositions/b:composition/b:aggregate", space)] == [
        "incomplete",
        "unknown",
    ]


@pytest.mark.parametrize(("format", "library"), [("cyclonedx", "cyclonedx-python-lib"), ("spdx", "spdx-tools")])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, format: str, library: str) -> None:
    def refuse(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(writing.importlib, "import_module", refuse)
    with pytest.raises(SbomLibraryMissingError, match=library) as caught:
        write_inventory(request(LOCK, format=format), context())
    assert f"-m pip install {library}" in caught.value.hint
    assert caught.value.exit_status == 1
