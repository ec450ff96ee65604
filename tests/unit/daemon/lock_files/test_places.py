"""Which wheels may be used although no index says that they are its own."""

from __future__ import annotations

import pytest

from roost.daemon.lock_files.places import find_unplaced, list_places
from roost.model.definition import PipItem
from roost.model.locks.lock import Wheel

INDEX = "https://user:word@Own.example/group/simple/"
LINES = (
    PipItem(kind="option", text="--extra-index-url https://more.example:8443/wheels/cpu"),
    PipItem(kind="option", text="--find-links http://${NAME}.example/links?token=1"),
    PipItem(kind="option", text="--trusted-host evil.example"),
    PipItem(kind="requirement", text="a --index https://one.example/root/+simple"),
)
VARIABLES = {"NAME": "found", "EVIL": "https://evil.example"}
PLACES = list_places(INDEX, LINES, VARIABLES)


def is_refused(url: str, *, kind: str = "index", stored: frozenset[str] = frozenset()) -> bool:
    wheel = Wheel(name="a", version="1", file_name="a.whl", sha256="0" * 64, size=1, url=url, kind=kind)  # type: ignore[arg-type]
    return find_unplaced([wheel], PLACES, stored, VARIABLES) is wheel


@pytest.mark.parametrize(
    "url",
    [
        "https://own.example/group/files/a.whl",
        "https://own.example:443/group/simple/a/a.whl",
        "https://more.example:8443/wheels/cpu/a.whl",
        "http://${NAME}.example/links/a.whl",
        "https://one.example/root/+f/a.whl",
    ],
)
def test_what_lies_at_the_own_place_of_an_index_is_used(url: str) -> None:
    assert not is_refused(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/group/simple/a.whl",
        "${EVIL}/a.whl",
        "http://own.example/group/a.whl",
        "https://own.example:444/group/a.whl",
        "https://own.example/other/a.whl",
        "https://own.example/group-of-another/a.whl",
        "https://own.example/group/../other/a.whl",
        "https://own.example/group/%2e%2E/other/a.whl",
        "https://own.example/group/..%5cother/a.whl",
        "https://evil.example\\@own.example/group/a.whl",
        "https://own.example@evil.example/group/a.whl",
        "https://own.example.evil.example/group/a.whl",
        "https://own.example:x/group/a.whl",
        "https://more.example:8443/a.whl",
        "",
    ],
)
def test_what_lies_elsewhere_is_used_only_if_it_is_here_already(url: str) -> None:
    assert is_refused(url)
    assert not is_refused(url, stored=frozenset({"0" * 64}))
    assert not is_refused(url, kind="url"), "a line of the definition has it"


def test_the_default_index_has_no_place_that_is_known() -> None:
    assert list_places("pypi", (), {}) == ()
