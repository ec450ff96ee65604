"""The tests' own channel: what other tests count on is there."""

from __future__ import annotations

import json
from pathlib import Path


def test_channel_has_what_other_tests_count_on(channel: Path) -> None:
    records = {}
    for subdir in ("linux-64", "noarch"):
        repodata = json.loads((channel / subdir / "repodata.json").read_bytes())
        assert repodata["packages.conda"]
        records |= repodata["packages.conda"]
    names = {record["name"] for record in records.values()}
    assert {"python", "numpy", "pandas", "scikit-learn", "scipy", "six", "pip", "activated", "post-linked"} <= names
    for name in ("python", "numpy"):
        assert len({record["version"] for record in records.values() if record["name"] == name}) == 2
    assert all(record["indexed_timestamp"] == record["timestamp"] for record in records.values())
    assert not list(channel.glob("**/stage-*"))
