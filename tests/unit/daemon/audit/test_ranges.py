"""Which versions are affected, and how severe it is."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.daemon.audit.advisories import Affected, Severity
from roost.daemon.audit.ranges import judge_version
from roost.daemon.audit.severity import rate_advisory, score_vector


def affected(*events: dict[str, str], kind: str = "ECOSYSTEM", versions: list[str] | None = None) -> Affected:
    ranges = [{"type": kind, "events": list(events)}] if events else []
    return msgspec.convert({"ranges": ranges, "versions": versions}, Affected)


ONE = affected({"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"last_affected": "2.3"})


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.9", False), ("1.0rc1", False), ("1.0", True), ("1.4.post1", True), ("1.5.dev1", True), ("1.5", False),
        ("1.9", False), ("2.0", True), ("2.3", True), ("2.3.0+cu121", False), ("2.3.1", False), ("1!0.1", False),
    ],
)  # fmt: skip
def test_events_are_evaluated_in_the_order_of_versions(version: str, expected: bool) -> None:
    assert judge_version(version, ONE).affected is expected
    mixed = affected({"last_affected": "2.3"}, {"introduced": "2.0"}, {"fixed": "1.5"}, {"introduced": "1.0"})
    assert judge_version(version, mixed).affected is expected, "the order in the file means nothing"


def test_zero_is_before_every_version_and_fixes_are_named() -> None:
    every = affected({"introduced": "0"}, {"fixed": "3"}, {"fixed": "1.10"})
    assert judge_version("0.0a1.dev1", every) == (True, "", ("1.10", "3"))
    assert judge_version("2", affected({"introduced": "0"})) == (True, "", ())


def test_fixed_and_introduced_again_at_one_version_is_affected() -> None:
    again = affected({"introduced": "1"}, {"fixed": "2"}, {"introduced": "2"})
    assert judge_version("2", again).affected is True


@pytest.mark.parametrize(("limit", "version", "expected"), [("2", "1.9", True), ("2", "2", False), ("*", "9", True)])
def test_a_limit_ends_a_range(limit: str, version: str, expected: bool) -> None:
    assert judge_version(version, affected({"introduced": "1"}, {"limit": limit})).affected is expected


def test_listed_versions_count_in_any_spelling() -> None:
    listed = affected(versions=["1.0", "2.0-beta"])
    assert judge_version("1.0.0", listed).affected is True
    assert judge_version("2.0b0", listed).affected is True
    assert judge_version("1.1", listed).affected is False
    assert judge_version("weird version", affected(versions=["weird version"])).affected is True


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.2.2", True), ("1.2.3", False), ("1.2.3-rc.1", True), ("1.2", True), ("1.3", False), ("v1.2.0+b", True)],
)
def test_semantic_versions_are_ordered_by_their_own_rules(version: str, expected: bool) -> None:
    semantic = affected({"introduced": "0"}, {"fixed": "1.2.3"}, kind="SEMVER")
    assert judge_version(version, semantic).affected is expected
    numbers = affected({"introduced": "1.0.0-alpha.2"}, {"fixed": "1.0.0-alpha.10"}, kind="SEMVER")
    assert judge_version("1.0.0-alpha.9", numbers).affected is True
    assert judge_version("1.0.0-alpha.beta", numbers).affected is False


STATES = "the advisory states the affected versions"


@pytest.mark.parametrize(
    ("version", "range", "reason"),
    [
        ("1_0 2", affected({"introduced": "0"}, {"fixed": "2"}), "'1_0 2' is not a version of PyPI (PEP 440)"),
        ("1", affected({"introduced": "0"}, {"fixed": "two"}), "'two' is not a version of PyPI (PEP 440)"),
        ("1.0rc1", affected({"introduced": "0"}, kind="SEMVER"), "'1.0rc1' is not a semantic version"),
        ("1", affected({"introduced": "0"}, kind="X"), "the advisory has a range of the type 'X', which is unknown"),
        ("1", affected({"introduced": "0"}, kind="GIT"), f"{STATES} only by commits of a repository"),
        ("1", affected(), f"{STATES} not at all"),
        ("1_0 2", affected(versions=["1.0"]), "'1_0 2' is not a version of PyPI (PEP 440)"),
    ],
)  # fmt: skip
def test_what_can_not_be_compared_is_not_called_unaffected(version: str, range: Affected, reason: str) -> None:
    verdict = judge_version(version, range)
    assert (verdict.affected, verdict.reason) == (None, reason)


def test_one_range_that_holds_it_decides() -> None:
    both = msgspec.convert(
        {
            "ranges": [
                {"type": "SEMVER", "events": [{"introduced": "junk"}]},
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]},
            ]
        },
        Affected,
    )
    assert judge_version("1", both) == (True, "", ("2",))
    assert judge_version("3", both).affected is None


VERSIONS = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda pair: f"{pair[0]}.{pair[1]}")


@settings(max_examples=100, deadline=None)
@given(st.lists(VERSIONS, min_size=1, max_size=4, unique=True), VERSIONS)
def test_changes_that_alternate_are_intervals(changes: list[str], version: str) -> None:
    changes.sort()
    events = [{("introduced", "fixed")[number % 2]: each} for number, each in enumerate(changes)]
    before = sum(each <= version for each in changes)
    assert judge_version(version, affected(*events)).affected is (before % 2 == 1)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30), st.lists(st.text(max_size=10), max_size=3), st.sampled_from(["ECOSYSTEM", "SEMVER"]))
def test_any_text_is_judged(version: str, texts: list[str], kind: str) -> None:
    judge_version(version, affected(*({"introduced": each} for each in texts), kind=kind, versions=texts))


@pytest.mark.parametrize(
    ("vector", "score"),
    [  # from the examples of the specification
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
        ("CVSS:3.0/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 9.9),
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H/E:P", 7.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:X/C:N/I:N/A:N", None),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", None),
        ("", None),
    ],
)
def test_scores_are_those_of_the_standard(vector: str, score: float | None) -> None:
    assert score_vector(vector) == score


def test_a_rating_comes_from_a_score_else_from_the_database() -> None:
    high = Severity(type="CVSS_V3", score="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N")
    four = Severity(type="CVSS_V4", score="CVSS:4.0/AV:N")
    assert rate_advisory([four, high], {"severity": "LOW"}) == ("high", 7.5, (four.score, high.score))
    assert rate_advisory([four], {"severity": "MODERATE"}) == ("medium", None, (four.score,))
    assert rate_advisory([], {"severity": ["odd"]}) == rate_advisory([], None) == (None, None, ())
