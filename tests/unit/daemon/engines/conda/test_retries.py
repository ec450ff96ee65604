"""A try that meets the threads of one that failed just before is made again; other failures are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.engines.conda import link
from roost.daemon.engines.conda.errors import LinkError

DISTURBED = "failed to rename temp directory '/c/.python-1x' to '/c/python-1': Directory not empty (os error 39)"
GONE = "failed to copy file from /c/python-1/x to /p/x: No such file or directory (os error 2)"


class Tries:
    """Fails with ``messages``, one after the other, and then does not."""

    def __init__(self, *messages: str) -> None:
        self.messages = list(messages)
        self.made = 0

    async def __call__(self) -> None:
        self.made += 1
        if self.messages:
            raise LinkError(self.messages.pop(0))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_PAUSE_SECONDS", 0.0)


async def test_it_is_made_again_in_an_empty_prefix(tmp_path: Path) -> None:
    (tmp_path / "half").write_text("")
    tries = Tries(DISTURBED, GONE)
    await link._retried(tries, str(tmp_path), "/c", tries=3)
    assert tries.made == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("messages", "most", "made"),
    [([DISTURBED] * 5, 3, 3), ([DISTURBED], 1, 1), (["no space for it"], 3, 1), ([GONE.replace("/c/", "/e/")], 3, 1)],
)
async def test_other_failures_and_the_last_one_are_told(
    tmp_path: Path, messages: list[str], most: int, made: int
) -> None:
    tries = Tries(*messages)
    with pytest.raises(LinkError):
        await link._retried(tries, str(tmp_path), "/c", tries=most)
    assert tries.made == made
