"""What uv is told about platforms and about what conda provides, and digests that it lists."""

from __future__ import annotations

import zipfile
from datetime import datetime, timezone
from pathlib import Path

import pytest

from roost.daemon.engines.uv.resolve import earlier_limit, parse_digests, uv_platform, write_stubs

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


@pytest.mark.parametrize(
    ("platform", "glibc", "host", "expected"),
    [
        ("linux-64", "2.28", None, "x86_64-manylinux_2_28"),
        ("linux-64+cuda12", "2.28", "glibc 2.36", "x86_64-manylinux_2_28"),
        ("linux-64", "2.28", "glibc 2.17", None),
        ("linux-64", "2.28", "", None),
        ("linux-64", "2.35", None, "x86_64-manylinux_2_35"),
        ("linux-64", "2.30", None, "x86_64-manylinux_2_28"),
        ("linux-aarch64", "2.28", None, "aarch64-manylinux_2_28"),
        ("osx-arm64", "2.28", None, "aarch64-apple-darwin"),
        ("osx-arm64", "2.28", "", None),
    ],
)
def test_the_baseline_is_assumed_wherever_it_can_be(
    platform: str, glibc: str, host: str | None, expected: str | None
) -> None:
    assert uv_platform(platform, glibc, host) == expected


def test_stubs_hold_name_and_version(tmp_path: Path) -> None:
    lines, excluded = write_stubs(str(tmp_path), {"scikit-learn": "1.4.2", "odd": "2021a_b", "torch": "2.1.0+cpu"})
    assert excluded == ["odd"]
    assert [line.partition(" @ ")[0] for line in lines] == ["scikit-learn", "torch"]
    with zipfile.ZipFile(tmp_path / "scikit_learn-1.4.2-py3-none-any.whl") as wheel:
        assert b"Name: scikit-learn\nVersion: 1.4.2\n" in wheel.read("scikit_learn-1.4.2.dist-info/METADATA")


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("", "2025-06-01T00:00:00Z"),
        ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2025-06-01T00:00:00Z"),
        ("P7D", "2025-05-27T00:00:00Z"),
        ("PT24H", "2025-06-01T00:00:00Z"),
    ],
)
def test_the_earlier_limit_to_uploads_holds(stated: str, expected: str) -> None:
    as_of, now = (datetime(2025, 6, day, tzinfo=timezone.utc) for day in (1, 3))
    assert earlier_limit(as_of, stated, now) == expected
