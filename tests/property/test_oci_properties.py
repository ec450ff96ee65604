"""References and documents: what is written is read back, and what Docker reads is read as Docker reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.oci.manifests import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MANIFEST_LIMIT,
    OCI_INDEX,
    OCI_MANIFEST,
    ImageIndex,
    Manifest,
    ManifestInvalidError,
    choose_platform,
    parse_manifest,
)
from roost.daemon.oci.platforms import conda_platform, image_platform, parse_platform
from roost.daemon.oci.references import Reference, ReferenceInvalidError, familiar_name, is_loopback, parse_reference

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
components = st.from_regex(r"\A[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}\Z")
hosts = st.one_of(
    st.sampled_from(["docker.io", "localhost", "localhost:5000", "[::1]:5000", "[2001:db8::1]", "Team"]),
    st.from_regex(r"\A[a-z0-9]{1,8}\.[a-z]{2,4}(:[0-9]{1,5})?\Z"),
)
tags = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
digests = st.from_regex(r"\Asha256:[0-9a-f]{64}\Z")
references = st.builds(
    lambda host, parts, tag, digest: Reference(host=host, repository="/".join(parts), tag=tag, digest=digest),
    hosts,
    st.lists(components, min_size=1, max_size=4),
    st.none() | tags,
    st.none() | digests,
)


@given(references)
def test_a_reference_is_read_back_as_it_was_written(reference: Reference) -> None:
    if reference.host == "docker.io" and "/" not in reference.repository:
        reference = Reference(
            host="docker.io", repository=f"library/{reference.repository}", tag=reference.tag, digest=reference.digest
        )
    if len(reference.repository) == 64 and reference.host == "docker.io":
        return
    assert parse_reference(str(reference)) == reference
    assert parse_reference(familiar_name(reference)) == reference
    assert len(familiar_name(reference)) <= len(str(reference))


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_a_clear_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except ReferenceInvalidError:
        return
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag"),
    [
        # the cases of distribution/reference's own tests of normalising
        ("debian", "docker.io", "library/debian", None),
        ("debian:12-slim", "docker.io", "library/debian", "12-slim"),
        ("a/b", "docker.io", "a/b", None),
        ("docker.io/debian", "docker.io", "library/debian", None),
        ("index.docker.io/debian", "docker.io", "library/debian", None),
        ("index.docker.io/a/b:c", "docker.io", "a/b", "c"),
        ("localhost/a", "localhost", "a", None),
        ("localhost:5000/a:b", "localhost:5000", "a", "b"),
        ("127.0.0.1:5000/library/debian", "127.0.0.1:5000", "library/debian", None),
        ("Team/thing", "Team", "thing", None),
        ("a.b/c", "a.b", "c", None),
        ("a:5000/c", "a:5000", "c", None),
        ("[2001:db8::1]:5000/repo", "[2001:db8::1]:5000", "repo", None),
        ("docker.io/1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a", "docker.io",
         "library/1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a", None),
    ],
)  # fmt: skip
def test_what_docker_takes_it_for(text: str, host: str, repository: str, tag: str | None) -> None:
    assert parse_reference(text) == Reference(host=host, repository=repository, tag=tag)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "a:", "a@", "a@sha256:12", f"a@SHA256:{'a' * 64}", "Debian", "a/B", "https://example.org/a", "-a",
        "a-",
        "a//b", "/a", "a/", "a b", "a:b c", "a:" + "x" * 129, "a..b", "a___b", f"{'a' * 64}", "x.y/" + "a" * 256,
        "example.org:port/a", "a\nb", "debian:12\n", "ä/b",
    ],
)  # fmt: skip
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(ReferenceInvalidError):
        parse_reference(text)


def test_a_digest_holds_before_a_tag_and_latest_is_the_default() -> None:
    assert parse_reference(f"a:b@{A}").tag_or_digest == A
    assert parse_reference("a:b").tag_or_digest == "b"
    assert parse_reference("a").tag_or_digest == "latest"
    assert str(parse_reference("a:b").with_digest(A)) == f"docker.io/library/a@{A}"
    with pytest.raises(ReferenceInvalidError):
        parse_reference("a").with_tag("no tag")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST:5000", True),
        ("x.localhost", True),
        ("127.3.2.1:80", True),
        ("[::1]:5000", True),
        ("localhost.example.org", False),
        ("128.0.0.1", False),
        ("registry.example.org:5000", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
    ],
)
def test_a_platform_has_one_name(text: str, expected: str) -> None:
    assert str(parse_platform(text)) == expected
    assert str(parse_platform(expected)) == expected


def test_conda_s_platforms_and_images_lead_to_each_other() -> None:
    for subdir in ("linux-64", "linux-aarch64", "linux-ppc64le", "linux-s390x"):
        assert conda_platform(image_platform(subdir)) == subdir
    assert image_platform("linux-64+cuda12") == "linux/amd64"
    for wrong in ("osx-arm64", "win-64"):
        with pytest.raises(ReferenceInvalidError):
            image_platform(wrong)
    with pytest.raises(ReferenceInvalidError):
        conda_platform("windows/amd64")


def descriptor(media_type: str = "x", digest: str = A, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": 1, **more}


def index(*platforms: str) -> ImageIndex:
    entries = []
    for number, platform in enumerate(platforms):
        os_name, architecture, *variant = platform.split("/")
        described = {"os": os_name, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        digest = f"sha256:{number:064x}"
        entries.append(descriptor(OCI_MANIFEST, digest, platform=described))
    found = parse_manifest(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode())
    assert isinstance(found, ImageIndex)
    return found


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        (("linux/arm64/v8", "linux/amd64"), "linux/amd64", 1),
        (("linux/arm64/v8", "linux/amd64"), "linux/arm64", 0),
        (("linux/arm/v5", "linux/arm/v6"), "linux/arm/v7", 1),
        (("linux/arm/v7",), "linux/arm/v6", None),
        (("unknown/unknown", "linux/amd64"), "linux/amd64", 1),
        (("linux/amd64",), "linux/s390x", None),
        (("windows/amd64",), "linux/amd64", None),
        ((), "linux/amd64", None),
    ],
)
def test_the_platform_is_chosen_as_containerd_does(there: tuple[str, ...], wanted: str, chosen: int | None) -> None:
    found = choose_platform(index(*there), wanted)
    assert (found and int(found.digest[7:], 16)) == chosen


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_manifests_of_both_kinds_are_read(kind: str) -> None:
    content = {"schemaVersion": 2, "mediaType": kind, "config": descriptor(), "layers": [descriptor(digest=B)]}
    found = parse_manifest(json.dumps(content).encode(), kind + "; charset=utf-8")
    assert isinstance(found, Manifest)
    assert (found.media_type, found.layers[0].digest) == (kind, B)
    del content["mediaType"]
    assert parse_manifest(json.dumps(content).encode(), kind).media_type == kind


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"schemaVersion": 1, "config": descriptor(), "layers": []},
        {"schemaVersion": 2, "layers": []},
        {"schemaVersion": 2, "config": descriptor(), "layers": [], "manifests": []},
        {"schemaVersion": 2, "mediaType": "text/html", "config": descriptor(), "layers": []},
        {"schemaVersion": 2, "config": descriptor(digest="sha256:short"), "layers": []},
        {"schemaVersion": 2, "config": {**descriptor(), "size": -1}, "layers": []},
        {"schemaVersion": 2, "manifests": [descriptor(digest="../../etc/passwd")]},
        {"schemaVersion": 2, "mediaType": DOCKER_INDEX, "config": descriptor(), "layers": []},
    ],
)
def test_what_is_no_manifest_is_refused(content: object) -> None:
    with pytest.raises(ManifestInvalidError):
        parse_manifest(json.dumps(content).encode())


def test_a_registry_that_calls_it_something_else_is_not_believed() -> None:
    content = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(), "layers": []}
    with pytest.raises(ManifestInvalidError):
        parse_manifest(json.dumps(content).encode(), OCI_INDEX)
    with pytest.raises(ManifestInvalidError):
        parse_manifest(b" " * (MANIFEST_LIMIT + 1))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_a_clear_error(data: bytes) -> None:
    with pytest.raises(ManifestInvalidError):
        parse_manifest(data)
