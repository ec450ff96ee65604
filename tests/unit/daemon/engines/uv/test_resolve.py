"""What uv writes with hashes, read."""

from __future__ import annotations

from roost.daemon.engines.uv.resolve import parse_digests

A, B = "a" * 64, "b" * 64


def test_every_sha256_of_a_package_is_read() -> None:
    text = f"""# a comment
Zope.Interface==5.0 \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
six==1.16.0 ; python_version < "4" \\
    --hash=md5:{"c" * 32}
"""
    assert parse_digests(text) == {"zope-interface": frozenset({A, B}), "six": frozenset()}
