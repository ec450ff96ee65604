"""Lines of explicit lists."""

from __future__ import annotations

import pytest

from roost.daemon.engines.conda.errors import ExplicitUrlError
from roost.daemon.engines.conda.explicit import parse_explicit


def test_explicit_lines() -> None:
    item = parse_explicit("https://u:p@host/t/tok-1/c/linux-64/a-b-1.0-py_0.tar.bz2#" + "a" * 32, "linux-64")
    assert (item.url, item.name, item.subdir) == ("https://host/c/linux-64/a-b-1.0-py_0.tar.bz2", "a-b", "linux-64")
    assert (item.channel, item.md5, item.sha256) == ("https://host/c", "a" * 32, "")
    assert parse_explicit("https://h/c/noarch/a-1-0.conda#sha256:" + "B" * 64, "linux-64").sha256 == "b" * 64
    for wrong in (
        "a-1-0.conda",
        "https://h/c/noarch/a.zip",
        "https://h/c/noarch/a-1-0.conda#abc",
        "https://h/c/osx-64/a-1-0.conda",
    ):
        with pytest.raises(ExplicitUrlError):
            parse_explicit(wrong, "linux-64")
