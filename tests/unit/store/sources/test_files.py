from __future__ import annotations

import errno
import os
import socket
import tempfile
from pathlib import Path

import pytest

from roost.model.syntax.dockerignore import DockerignoreError, parse_dockerignore
from roost.store.disk.regular_files import MAX_FILE_BYTES
from roost.store.sources.files import LocalFiles, describe_absence, resolve_file_path

FILES = LocalFiles()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p" / "src").mkdir(parents=True)
    (tmp_path / "p" / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "p" / "src" / "a.py").write_text("a = 1\n")
    return tmp_path / "p"


def test_times_place_and_leftovers_do_not_count(folder, tmp_path):
    before = FILES.tree_digest(str(folder))
    os.utime(folder / "src" / "a.py", (1, 1))
    for name in (
        ".git/HEAD",
        "src/__pycache__/a.pyc",
        "build/lib/a.py",
        "dist/x.whl",
        "p.egg-info/PKG-INFO",
        ".venv/x",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert FILES.tree_digest(str(folder)) == before
    moved = folder.rename(tmp_path / "q")
    assert FILES.tree_digest(str(moved)) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "src" / "a.py").write_text("a = 2\n"),
        lambda folder: (folder / "src" / "a.py").rename(folder / "src" / "b.py"),
        lambda folder: (folder / "src" / "a.py").chmod(0o755),
        lambda folder: (folder / "src" / "b.py").write_text(""),
        lambda folder: (folder / "src" / "a.py").unlink(),
        lambda folder: (folder / "link").symlink_to("src"),
        lambda folder: (folder / "src" / "build").write_text("x"),
    ],
)
def test_content_names_executability_and_links_count(folder, change):
    before = FILES.tree_digest(str(folder))
    change(folder)
    assert FILES.tree_digest(str(folder)) != before


def test_where_a_link_points_counts_and_not_what_is_there(folder):
    (folder / "link").symlink_to("src/a.py")
    one = FILES.tree_digest(str(folder))
    (folder / "link").unlink()
    (folder / "link").write_text("a = 1\n")
    assert FILES.tree_digest(str(folder)) != one


def test_sockets_are_no_content():
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name:
        before = FILES.tree_digest(name)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name + "/s")
            assert FILES.tree_digest(name) == before


def test_pipes_and_sockets_are_named_and_left_out(folder):
    files = LocalFiles()
    before = files.tree_digest(str(folder)), files.context_digest(str(folder))
    assert files.special_files(str(folder)) == ()
    (folder / "deep").mkdir()
    os.mkfifo(folder / "deep" / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "server"))
    assert files.tree_digest(str(folder)) == before[0]
    assert files.special_files(str(folder)) == ("deep/pipe", "server")
    (folder / ".dockerignore").write_text("server\n")
    files.context_digest(str(folder))
    assert files.special_files(str(folder)) == ("deep/pipe",), "what is ignored is not named"


def test_a_context_counts_empty_folders_and_heeds_dockerignore(folder):
    (folder / ".dockerignore").write_text("*.log\nDockerfile\n")
    (folder / "Dockerfile").write_text("FROM a\n")
    before = FILES.context_digest(str(folder))
    (folder / "x.log").write_text("x")
    assert FILES.context_digest(str(folder)) == before
    (folder / "empty").mkdir()
    with_folder = FILES.context_digest(str(folder))
    (folder / "Dockerfile").write_text("FROM b\n")
    assert len({before, with_folder, FILES.context_digest(str(folder))}) == 3


def test_reading_and_looking(folder):
    assert FILES.read(str(folder / "pyproject.toml")) == b"[project]\n"
    assert FILES.exists(str(folder / "src"))
    assert FILES.is_folder(str(folder / "src"))
    assert not FILES.is_folder(str(folder / "pyproject.toml"))
    assert not FILES.exists(str(folder / "none"))
    with pytest.raises(OSError, match="No such file"):
        FILES.tree_digest(str(folder / "none"))


@pytest.mark.parametrize(
    ("rules", "out", "kept"),
    [
        ("*.log", ["a.log"], ["sub/a.log", "a.txt"]),
        ("**/*.log", ["a.log", "sub/a.log", "a/b/c.log"], ["a.txt"]),
        ("node_modules", ["node_modules", "node_modules/a/b"], ["sub/node_modules"]),
        ("/data/", ["data", "data/x"], ["sub/data"]),
        ("*\n!keep.txt", ["a", "keep.txt.bak"], ["keep.txt"]),
        ("data\n!data/keep\n", ["data/a"], ["data/keep", "data/keep/x"]),
        ("a?c", ["abc"], ["abbc", "a/c"]),
        ("[ab].txt", ["a.txt"], ["c.txt"]),
        ("# *.log\n\n", [], ["a.log"]),
        ("docs/**/x", ["docs/x", "docs/a/b/x"], ["x"]),
        ("**/data\n!data/keep.txt", ["data/x", "a/data/keep.txt"], ["data/keep.txt"]),
        ("**/.docker\n!**/.docker/words", [".docker/config.json", "a/.docker/x"], ["a/.docker/words", ".dockerignore"]),
        ("data\n!data/a\ndata/a/b\n!data/a/b/c", ["data/x", "data/a/b/x"], ["data/a/x", "data/a/b/c"]),
        ("build", ["build/x"], ["Build/x", "BUILD"]),
        ("\ufeff*.log\r\n  a  \r\n", ["a.log", "a"], ["b"]),
        (" # a\n#b", ["# a"], ["a", "#b", "b"]),
        ("!!a\n", [], ["a"]),
        ("/", [], ["a"]),
        (".\n./a/../b//c/\n../d\n", ["b/c", "b/c/x"], ["a", "b", "d"]),
        ("/../a", ["a"], ["b/a"]),
        ("**", ["a", "a/b"], []),
        ("a/**", ["a/b", "a/b/c"], ["a"]),
        ("**.log", ["a.log", "a/b.log"], ["a.logs"]),
        ("**b*", ["b", "a/bc"], ["ab"]),
        ("a**b", ["ab", "ax/b", "ax/y/b"], ["axb"]),
        ("[^a]x", ["bx"], ["ax"]),
        ("[a-c\\]]x", ["bx", "]x"], ["dx"]),
        ("\\[a\\]\n\\*", ["[a]", "*"], ["a", "x"]),
        ("a.b+(c)", ["a.b+(c)"], ["axb+(c)"]),
        ("a\u2028b\n", ["a\u2028b"], ["a", "b"]),
    ],
)
def test_dockerignore(rules, out, kept):
    ignored = parse_dockerignore(rules)
    assert [path for path in out if not ignored(path)] == []
    assert [path for path in kept if ignored(path)] == []


@pytest.mark.parametrize("line", ["a[b", "a\\", "[]a]", "[^]", "[z-a]", "[a-]", "!", "! "])
def test_what_is_no_pattern_is_refused_with_its_place(folder, line):
    (folder / ".dockerignore").write_text(f"# a comment\n{line}\n")
    with pytest.raises(DockerignoreError, match="is not a valid pattern") as caught:
        FILES.context_digest(str(folder))
    assert str(caught.value.location) == f"{folder}/.dockerignore:2"


def test_names_of_any_bytes_are_ignored(folder):
    os.mkdir(os.fsencode(folder) + b"/\xff")
    (folder / ".dockerignore").write_bytes(b"\xff\n")
    assert not [name for name in FILES.list_context(str(folder)) if "\udcff" in name]


def test_steps_see_of_a_context_what_counts_and_no_dockerfile_that_is_ignored(folder, tmp_path):
    (folder / "Dockerfile").write_text("FROM scratch")
    (folder / "data" / "sub").mkdir(parents=True)
    for name in ("data/keep", "data/sub/x", "Data", ".docker"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("data/sub/x")
    (folder / ".dockerignore").write_text("**\n!data/keep\n!link\n!Data\n")
    assert FILES.list_context(str(folder)) == [".dockerignore", "Data", "Dockerfile", "data/keep", "link"]
    FILES.link_context(str(folder), str(tmp_path / "seen"))
    seen = sorted(str(path.relative_to(tmp_path / "seen")) for path in (tmp_path / "seen").rglob("*"))
    assert seen == ["Data", "data", "data/keep", "link"]
    assert os.readlink(tmp_path / "seen" / "link") == "data/sub/x"


def test_what_has_no_end_or_is_far_too_large_is_not_read_whole(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "model.bin", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for path, said in (
        ("/dev/zero", "not a regular file"),
        (str(tmp_path / "pipe"), "not a regular file"),
        (str(tmp_path), "not a regular file"),
        (str(tmp_path / "model.bin"), "larger than 64 MiB"),
    ):
        with pytest.raises(OSError, match=said):
            FILES.read(path)
    os.truncate(tmp_path / "model.bin", MAX_FILE_BYTES)
    assert len(FILES.read(str(tmp_path / "model.bin"))) == MAX_FILE_BYTES


def test_a_wheel_of_any_size_counts_by_its_content(tmp_path):
    with open(tmp_path / "a.whl", "wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    before = FILES.file_digest(str(tmp_path / "a.whl"))
    with open(tmp_path / "a.whl", "r+b") as file:
        file.write(b"x")
    assert FILES.file_digest(str(tmp_path / "a.whl")) != before
    with pytest.raises(OSError, match="not a regular file"):
        FILES.file_digest("/dev/zero")


def test_an_ignore_file_named_after_the_dockerfile_replaces_the_other(folder):
    for name in ("a.log", "b.txt", ".dockerignore", "Dockerfile", "gpu.Dockerfile"):
        (folder / name).write_text(name)
    (folder / ".dockerignore").write_text("*.log\n")
    (folder / "Dockerfile.dockerignore").write_text("*.txt\nDockerfile*\n")
    names = FILES.list_context(str(folder))
    assert {"a.log", ".dockerignore", "Dockerfile", "Dockerfile.dockerignore"} <= set(names)
    assert "b.txt" not in names
    visible = FILES.list_visible_context(str(folder))
    assert ".dockerignore" in visible, "it is an ordinary file"
    assert not {"Dockerfile", "Dockerfile.dockerignore"} & set(visible)
    other = FILES.list_context(str(folder), "gpu.Dockerfile")
    assert "a.log" not in other, "it is another Dockerfile's"
    assert {"b.txt", "Dockerfile", "Dockerfile.dockerignore", "gpu.Dockerfile"} <= set(other)
    (folder / "Dockerfile.dockerignore").write_text("")
    assert {"a.log", "b.txt"} <= set(FILES.list_context(str(folder))), "an empty one ignores nothing"


def test_what_is_ignored_by_either_file_does_not_count(folder):
    (folder / "Dockerfile").write_text("FROM a\n")
    (folder / "Dockerfile.dockerignore").write_text("*.log\n")
    before = FILES.context_digest(str(folder))
    (folder / "x.log").write_text("x")
    assert FILES.context_digest(str(folder)) == before
    (folder / "Dockerfile.dockerignore").write_text("*.log\n# another\n")
    assert FILES.context_digest(str(folder)) != before


def test_a_bad_rule_is_an_error_in_its_own_ignore_file(folder):
    (folder / "Dockerfile.dockerignore").write_text("[a\n")
    with pytest.raises(DockerignoreError) as caught:
        FILES.context_digest(str(folder))
    assert str(caught.value.location) == f"{folder}/Dockerfile.dockerignore:1"


def test_a_context_without_one_has_the_digest_that_it_always_had(folder):
    (folder / "Dockerfile").write_text("FROM a\n")
    (folder / ".dockerignore").write_text("*.log\nDockerfile\n")
    known = "sha256:a367f070b59a549f426fd713a50c60aedee21684b4b4ac7db695eeedc008813b"
    assert FILES.context_digest(str(folder)) == known
    assert FILES.context_digest(str(folder), "Dockerfile") == known


def test_why_there_is_nothing_at_a_path(tmp_path: Path) -> None:
    (tmp_path / "dead").symlink_to("nowhere")
    assert describe_absence(str(tmp_path / "dead")) == "is a link to nowhere, which does not exist"
    for name in ("absent", "a" * 300, "a\0b"):
        assert describe_absence(str(tmp_path / name)) == "does not exist"


def test_a_link_that_may_not_be_read_is_said_to_be_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "readlink", refuse)  # as for /proc/1/root, which exists for its owner only
    assert describe_absence("/proc/1/root") == "can't be reached: Permission denied"


@pytest.mark.parametrize("named", ["sl/file", "cwd/../sl/file", "link/../sl/file", "sl/../sl/file", "cwd/.././sl/file"])
def test_a_linked_file_has_one_path_however_it_is_named(tmp_path, named):
    for name in ("sl", "sc", "cwd"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("cwd")
    (tmp_path / "sc" / "file").write_text("")
    (tmp_path / "sl" / "file").symlink_to("../sc/file")
    assert resolve_file_path(f"{tmp_path}/{named}") == f"{tmp_path}/sl/file"


def test_a_folder_behind_a_link_and_its_parent_is_where_the_system_finds_it(tmp_path):
    (tmp_path / "deep" / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/in")
    assert resolve_file_path(f"{tmp_path}/link/..") == f"{tmp_path}/deep"
    assert resolve_file_path(f"{tmp_path}/link/../in") == f"{tmp_path}/deep/in"
    assert resolve_file_path(f"{tmp_path}/link/../absent") == f"{tmp_path}/deep/absent"
    assert resolve_file_path(f"{tmp_path}/link/./") == f"{tmp_path}/link"
