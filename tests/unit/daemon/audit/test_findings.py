"""Which packages are looked up, and which advisories are one finding."""

from __future__ import annotations

from roost.daemon.audit.audit import list_candidates
from roost.daemon.audit.findings import group_matches
from roost.daemon.audit.search import Match, ProjectVersion
from roost.daemon.audit.subjects import Candidate, find_subjects
from roost.model.locks.lock import CondaPackage, CondaPython, Jar, Lock, Wheel
from roost.model.package_uses import PackageVersion

NUMPY = PackageVersion(kind="pip", name="numpy", version="1.0")
TORCH = PackageVersion(kind="pip", name="torch", version="2.0")


def match(id: str, *aliases: str, subject: int = 0, affected: bool = True, **fields: object) -> Match:
    given = {"summary": "", "rating": None, "score": None, "vectors": (), "reason": "", "fixed": (), **fields}
    return Match(subject=subject, id=id, aliases=aliases, affected=affected, **given)  # type: ignore[arg-type]


def test_aliases_in_common_make_one_finding_in_any_order() -> None:
    found = [match("GHSA-1", "CVE-1"), match("OTHER-1", "X-1"), match("PYSEC-1", "CVE-1", "X-1"), match("GHSA-2")]
    for order in (found, found[::-1]):
        findings = group_matches(order, [NUMPY])
        assert {each.ids for each in findings} == {("PYSEC-1", "GHSA-1", "CVE-1", "OTHER-1", "X-1"), ("GHSA-2",)}


def test_the_worst_rating_counts_and_the_same_package_on_two_names_is_one() -> None:
    findings = group_matches(
        [
            match("GHSA-1", "CVE-1", rating="high", score=7.5, vectors=("v",), fixed=("2",), summary="from GHSA"),
            match("PYSEC-1", "CVE-1", subject=1, rating="low", fixed=("3",)),
            match("PYSEC-2", subject=2, rating="critical"),
            match("PYSEC-3", subject=2),
        ],
        [NUMPY, NUMPY, TORCH],
    )
    assert [(each.package.name, each.ids[0], each.rating) for each in findings] == [
        ("torch", "PYSEC-2", "critical"), ("numpy", "PYSEC-1", "high"), ("torch", "PYSEC-3", None),
    ]  # fmt: skip
    assert (findings[1].summary, findings[1].fixed, findings[1].score) == ("from GHSA", ("3",), 7.5)


def test_what_one_advisory_decides_another_need_not() -> None:
    undecided = match("GHSA-1", "CVE-1", affected=False, reason="why")
    (finding,) = group_matches([undecided, match("PYSEC-1", "CVE-1", fixed=("2",))], [NUMPY])
    assert (finding.affected, finding.reason, finding.fixed) == (True, "", ("2",))
    (finding,) = group_matches([undecided], [NUMPY])
    assert (finding.affected, finding.reason) == (False, "why")


def test_conda_packages_are_looked_up_by_their_records_only() -> None:
    def conda(name: str, purls: object) -> CondaPackage:
        record = {} if purls is None else {"purls": purls}
        return CondaPackage(
            name=name, version="2.1", build="0", subdir="linux-64", file_name=name, url="", sha256="", record=record
        )

    lock = Lock(
        platform="linux-64",
        provider=CondaPython(),
        conda=(
            conda("PyTorch", ["pkg:pypi/Torch@2.1.0?x=y", "pkg:other/z@1", 3]), conda("numpy", None),
            conda("odd", "pkg:pypi/x"), conda("requests", ("pkg:pypi/requests",)),
        ),
        wheels=(Wheel(name="Typing_Extensions", version="4"), Wheel(name="versionless", version="")),
        jars=(Jar(group="g", name="j", version="1", file_name="j.jar", sha256=""),),
    )  # fmt: skip
    checked, unchecked = find_subjects(list_candidates(lock))
    assert [each.subject for each in checked] == [
        ProjectVersion(name="torch", version="2.1.0"), ProjectVersion(name="requests", version="2.1"),
        ProjectVersion(name="typing-extensions", version="4"),
    ]  # fmt: skip
    assert checked[0].package.name == "pytorch"
    assert [package.name for package, _ in unchecked] == ["numpy", "odd", "versionless", "g:j"]
    assert "OSV knows no conda packages" in unchecked[0][1]


def test_a_purl_is_one_as_a_whole() -> None:
    odd = ["pkg:pypi/", "xpkg:pypi/a", "pkg:pypi/a/b", "pkg:conda/a", ""]
    package = PackageVersion(kind="conda", name="a", version="1")
    assert find_subjects([Candidate(package=package, purls=tuple(odd))])[0] == []
