"""Distributions in conda packages, by the names of their folders."""

from __future__ import annotations

from roost.daemon.engines.conda.native.distributions import parse_distributions


def test_distributions_by_their_folders() -> None:
    paths = [
        "site-packages/Foo_Bar.baz-1.0.post1.dist-info/METADATA",
        "lib/python3.11/site-packages/six-1.16.0.dist-info/RECORD",
        "lib/python3.11/site-packages/old-2.0-py3.11.egg-info/PKG-INFO",
        "share/doc/not-1.0.dist-info",
    ]
    found = parse_distributions(paths)
    assert found["foo-bar-baz"] == "1.0.post1"
    assert found["six"] == "1.16.0"
    assert found["old"] == "2.0"
    assert "not" not in found
