"""Linking is retried if another worker disturbed it; other failures are raised at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.engines.conda import link
from roost.daemon.engines.conda.errors import LinkError

DISTURBED = "failed to rename temp directory '/c/.python-1x' to '/c/python-1': Directory not empty (os error 39)"
GONE = "failed to copy file from /c/python-1/x to /p/x: No such file or directory (os error 2)"


class Tries:
    """Stands in for linking once: fails with ``messages``, one after the other, then succeeds."""

    def __init__(self, *messages: str) -> None:
        self.messages = list(messages)
        self.made = 0

    async def __call__(self) -> None:
        self.made += 1
        if self.messages:
            raise LinkError(self.messages.pop(0))


async def link_with(monkeypatch: pytest.MonkeyPatch, tries: Tries, prefix: Path, *, fetching: bool) -> None:
    monkeypatch.setattr(link, "_PAUSE_SECONDS", 0.0)
    await link.link_with_retries(tries, str(prefix), "/c", fetching=fetching)


async def test_linking_is_retried_in_an_empty_prefix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "half").write_text("")
    tries = Tries(DISTURBED, GONE)
    await link_with(monkeypatch, tries, tmp_path, fetching=True)
    assert tries.made == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("messages", "fetching", "made"),
    [
        ([DISTURBED] * 5, True, 3),
        ([DISTURBED], False, 1),
        (["no space for it"], True, 1),
        ([GONE.replace("/c/", "/e/")], True, 1),
    ],
)
async def test_other_failures_and_the_last_one_are_raised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, messages: list[str], fetching: bool, made: int
) -> None:
    tries = Tries(*messages)
    with pytest.raises(LinkError):
        await link_with(monkeypatch, tries, tmp_path, fetching=fetching)
    assert tries.made == made
