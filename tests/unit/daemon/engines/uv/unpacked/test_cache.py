"""What uv's cache of unpacked wheels is known to lack."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.engines.uv.unpacked.cache import find_absent
from roost.model.locks.lock import Wheel

SHA = "a" * 64


@pytest.mark.parametrize(
    ("wheel", "is_absent"),
    [
        (Wheel(name="some-name", version="1.0", sha256=SHA), False),
        (Wheel(name="some-name", version="1.0", kind="url", sha256=SHA), False),
        (Wheel(name="some-name", version="1", sha256=SHA), False),
        (Wheel(name="some-name", version="1.1", sha256=SHA), True),
        (Wheel(name="some", version="1.0", sha256=SHA), True),
        (Wheel(name="some", version="1.0", kind="url", sha256=SHA), True),
        (Wheel(name="some", version="1.0", kind="built", sha256=SHA), False),
        (Wheel(name="some", version="1.0", kind="local", sha256=SHA), False),
        (Wheel(name="some", version="1.0", sha256="b" * 64), False),
    ],
)
def test_what_is_fetched_and_not_unpacked_is_absent(tmp_path: Path, wheel: Wheel, is_absent: bool) -> None:
    (tmp_path / "archive-v0" / "x" / "Some_Name-1.0.dist-info").mkdir(parents=True)
    assert find_absent(str(tmp_path), [wheel], {"b" * 64}) == ([wheel.name] if is_absent else [])


def test_an_empty_cache_has_nothing(tmp_path: Path) -> None:
    assert find_absent(str(tmp_path / "none"), [Wheel(name="a", version="1", sha256=SHA)], ()) == ["a"]
    assert find_absent(str(tmp_path / "none"), [], ()) == []
