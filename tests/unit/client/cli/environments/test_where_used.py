"""``env who`` asks for as many rows as are wanted, page by page."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from roost.client.cli.environments import where_used
from roost.client.cli.paging import MAX_ROWS, row_limit

KINDS = ("environments", "generations", "images", "prefixes", "runs")


class Daemon:
    """Has some environments, and tells ``limit`` of them a page."""

    def __init__(self, there: int, wanted: int) -> None:
        self.there = there
        self.limits: list[int] = []
        self.options = SimpleNamespace(package="numpy", kind=None, limit=wanted)

    def request(self, method: str, target: str) -> dict[str, Any]:
        query = {key: value for key, [value] in parse_qs(urlsplit(target).query).items()}
        start, limit = int(query.get("before", 0)), int(query["limit"])
        self.limits.append(limit)
        shown = range(start, min(start + limit, self.there))
        following = {"environments": str(shown.stop)} if shown.stop < self.there else {}
        return {**{kind: [] for kind in KINDS}, "environments": list(shown), "next": following, "counts": {}}


@pytest.mark.parametrize(
    ("there", "wanted", "limits", "more"),
    [
        (5000, 100, [100], True),
        (5000, 5000, [1000] * 5, False),
        (2100, 10**6, [1000] * 3, False),
        (2100, 1050, [1000, 50], True),
    ],
)
def test_as_many_as_are_asked_for(there: int, wanted: int, limits: list[int], more: bool) -> None:
    daemon: Any = Daemon(there, wanted)
    answer = where_used._request_uses(daemon, min(wanted, MAX_ROWS))
    where_used._request_rest(daemon, answer, "environments")
    assert answer["environments"] == list(range(min(there, wanted)))
    assert daemon.limits == limits
    assert ("environments" in answer["next"]) is more


@pytest.mark.parametrize("text", ["0", "-1", "x", "1" * 20, "²"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number"):
        row_limit(where_used.MAX_LIMIT)(text)
