"""Which digests a source must have before it is used."""

from __future__ import annotations

import pytest

from roost.daemon.engines.uv.errors import WheelDigestMismatchError
from roost.daemon.engines.uv.pylock import Archive, PylockPackage
from roost.daemon.engines.uv.sources.digests import DigestRules, parse_direct_source

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
URL = "https://example.org/x-1.0.tar.gz"


def expected(rules: DigestRules, package: PylockPackage) -> list[set[str]]:
    return [set(digests) for digests in rules.find_expected(package, package.direct or package.sdist)]


def test_line_url_and_index_must_all_match() -> None:
    sdist = PylockPackage(name="x", version="1.0", sdist=Archive(url=URL, sha256="b" * 64))
    rules = DigestRules(by_name={"x": {A, B}, "y": {A}}, by_url={URL: {A}})
    assert expected(rules, sdist) == [{A, B}, {A}, {B}]
    assert expected(DigestRules(), sdist) == [{B}]
    assert expected(DigestRules(), PylockPackage(name="x", sdist=Archive(url=URL))) == []


def test_the_fragment_of_a_url_counts() -> None:
    direct = parse_direct_source(f"{URL}#sha256={'A' * 64}&subdirectory=in/here", "x")
    assert direct.direct is not None
    assert (direct.direct.url, direct.direct.subdirectory) == (URL, "in/here")
    assert {A} in expected(DigestRules(), direct)
    weak = parse_direct_source(f"{URL}#md5={'c' * 32}")
    assert expected(DigestRules(), weak) == [{f"md5:{'c' * 32}"}]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("git+https://h/r.git", ("https://h/r.git", "HEAD", None)),
        ("git+https://h/r.git@v1#subdirectory=p", ("https://h/r.git", "v1", "p")),
        ("git+ssh://git@h/r", ("ssh://git@h/r", "HEAD", None)),
        ("git+ssh://git@h/r@main", ("ssh://git@h/r", "main", None)),
    ],
)
def test_a_repository_and_its_revision(url: str, source: tuple[str, str, str | None]) -> None:
    assert parse_direct_source(url).git == source


def test_what_has_no_digest_is_refused_where_one_is_required() -> None:
    with pytest.raises(WheelDigestMismatchError, match="--require-hashes"):
        DigestRules(required=True).find_expected(PylockPackage(name="x", version="1"), Archive(url=URL))
    with pytest.raises(WheelDigestMismatchError, match="repository"):
        DigestRules(by_name={"x": {A}}).find_expected(PylockPackage(name="x", git=("r", "c", None)), None)
