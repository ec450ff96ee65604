"""pylock.toml, read and written."""

from __future__ import annotations

from roost.daemon.engines.uv.pylock import parse_pylock, render_pylock, without_credentials
from roost.model.locks.lock import Wheel

TEXT = """
lock-version = "1.0"
[[packages]]
name = "a"
version = "1.0"
wheels = [{ url = "https://u:p@x.example/a-1.0%2Bcpu-py3-none-any.whl", size = 5, hashes = { sha256 = "aa" } }]
[[packages]]
name = "b"
version = "2"
sdist = { url = "https://x.example/b-2.tar.gz", hashes = { sha256 = "bb" } }
[[packages]]
name = "c"
vcs = { type = "git", url = "https://x.example/c.git", requested-revision = "v1", commit-id = "123" }
[[packages]]
name = "d"
directory = { path = "/project/d", editable = true }
[[packages]]
name = "e"
version = "1"
archive = { path = "/store/e-1-py3-none-any.whl", hashes = { sha256 = "ee" } }
[[packages]]
name = "f"
version = "1"
wheels = [{ url = "file:///links/f%20x-1-py3-none-any.whl", hashes = { sha256 = "ff" } }]
"""


def test_every_kind_of_source_is_read() -> None:
    a, b, c, d, e, f = parse_pylock(TEXT)
    assert a.wheel is not None
    assert (a.wheel.url, a.wheel.file_name, a.wheel.size) == (
        "https://x.example/a-1.0%2Bcpu-py3-none-any.whl",
        "a-1.0+cpu-py3-none-any.whl",
        5,
    )
    assert b.wheel is None
    assert b.sdist is not None
    assert (b.sdist.file_name, b.sdist.sha256) == ("b-2.tar.gz", "bb")
    assert c.git == ("https://x.example/c.git", "123", None)
    assert (d.folder, d.editable, d.version) == ("/project/d", True, "")
    assert e.direct is not None
    assert e.direct.path == "/store/e-1-py3-none-any.whl"
    assert f.wheel is not None
    assert (f.wheel.url, f.wheel.path) == (None, "/links/f x-1-py3-none-any.whl")


def test_what_is_rendered_reads_back() -> None:
    wheels = [
        (Wheel(name="a", version="1", url='https://x.example/a"-1-py3-none-any.whl', sha256="aa"), None),
        (Wheel(name="b", version="2", kind="built", file_name="b.whl", sha256="bb"), "/store/ü/b.whl"),
        (Wheel(name="c", version="3", kind="url", url="https://x.example/c.whl", sha256="cc"), None),
        (Wheel(name="d", version="4", kind="editable", path="/project/d"), None),
    ]
    a, b, c, d = parse_pylock(render_pylock(wheels))
    assert a.wheel is not None
    assert a.wheel.file_name == 'a"-1-py3-none-any.whl'
    assert b.wheel is not None
    assert (b.wheel.path, b.wheel.sha256) == ("/store/ü/b.whl", "bb")
    assert c.direct is not None
    assert c.direct.url == "https://x.example/c.whl"
    assert (d.folder, d.editable) == ("/project/d", True)


def test_credentials_and_fragments_go() -> None:
    assert without_credentials("https://u:p@h:1/x?y=1#sha256=aa") == "https://h:1/x?y=1"
