"""What ``roost env audit`` says below its findings."""

from __future__ import annotations

from roost.client.cli.environments.audit import _summary_lines


def test_an_advisory_that_is_ignored_for_several_packages_is_named_once() -> None:
    database = {"path": "/w/osv.json", "advisories": 1, "modified": None}
    ignored = [{"id": "GHSA-1"}, {"id": "GHSA-2"}, {"id": "GHSA-1"}]
    answer = {"database": database, "checked": 3, "unchecked": [], "ignored": ignored, "findings": []}
    assert list(_summary_lines(answer, 0))[1:] == ["ignored: GHSA-1, GHSA-2", "nothing found"]
