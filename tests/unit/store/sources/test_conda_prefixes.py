"""Conda prefixes by what is written in them: history, records, metadata of pip; and where conda would look for them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from roost.store.sources.conda_environments import PrefixUnknownError, find_prefix, list_prefixes
from roost.store.sources.conda_prefixes import PrefixRecordError, read_prefix

FORGE = "https://conda.anaconda.org/conda-forge/linux-64"


class Prefix:
    """A folder as conda and pip leave it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.site = path / "lib/python3.11/site-packages"
        self.site.mkdir(parents=True)
        (path / "conda-meta").mkdir()
        self.record("python", "3.11.1")

    def record(
        self, name: str, version: str, *, base: str = FORGE, files: tuple[str, ...] = (), **more: object
    ) -> None:
        url = f"{base}/{name}-{version}-0.conda"
        content = {"name": name, "version": version, "build": "0", "url": url, "subdir": "linux-64", "files": files}
        path = self.path / f"conda-meta/{name}-{version}-0.json"
        path.write_text(json.dumps({**content, **more}))

    def history(self, *lines: str) -> None:
        (self.path / "conda-meta/history").write_text("\n".join(lines))

    def metadata(
        self, folder: str, name: str, version: str, direct: dict | None = None, file: str = "METADATA"
    ) -> None:
        (self.site / folder).mkdir()
        (self.site / folder / file).write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: x\n")
        if direct is not None:
            (self.site / folder / "direct_url.json").write_text(json.dumps(direct))

    @property
    def pip(self) -> list[str]:
        return [item.text for item in read_prefix(str(self.path)).definition.pip.requirements]

    @property
    def specs(self) -> tuple[str, ...]:
        return read_prefix(str(self.path)).definition.conda.dependencies


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    return Prefix(tmp_path / "envs" / "old")


def test_the_history_is_replayed_in_its_order(prefix):
    for name in ("numpy", "zlib", "xz"):
        prefix.record(name, "1.0")
    prefix.history(
        "# install specs: python =3.11, xz, zlib",  # of old versions
        "# update specs: ['NumPy=1.0', 'conda-forge::zlib']",
        "# neutered specs: ['python=3']",
        "# remove specs: ['xz']",
        "# update specs: ['never-installed']",
        "# cmd: conda install 'y z'",
        "# update specs: ['', '[x', '@/y', '==']",
        "# update specs: [[[",
    )
    assert prefix.specs == ("numpy=1.0", "conda-forge::zlib", "python=3")


def test_records_tell_where_there_is_no_history(prefix):
    prefix.record("numpy", "1.0", requested_spec="numpy >=1")
    prefix.record("zlib", "1.0", requested_spec="None")
    prefix.record("xz", "1.0", requested_specs=["xz=1", "xz"])
    prefix.history("")
    assert prefix.specs == ("numpy>=1", "xz=1")


def test_a_file_that_was_installed_by_its_url_becomes_its_version(prefix):
    prefix.record("zlib", "1.0")
    prefix.history(f"# update specs: ['{FORGE}/zlib-1.0-0.conda', 'python']")
    parsed = read_prefix(str(prefix.path))
    assert parsed.definition.conda.dependencies == ("zlib==1.0", "python")
    assert [warning.code for warning in parsed.warnings] == ["spec-unread"]


def test_warnings_tell_no_secrets(prefix):
    prefix.record("zlib", "1.0")
    prefix.history("# update specs: ['https://u:sesame@h/c/linux-64/zlib-1.0-0.conda']")
    prefix.metadata("a-1.dist-info", "a", "1", {"url": "https://u:sesame@h/a b.zip"})
    parsed = read_prefix(str(prefix.path))
    assert [warning.code for warning in parsed.warnings] == ["spec-unread", "package-missing"]
    assert b"sesame" not in msgspec.json.encode((parsed.warnings, parsed.definition))


def test_exact_names_versions_and_builds(prefix):
    prefix.history("# update specs: ['python']")
    assert read_prefix(str(prefix.path), pinned=True).definition.conda.dependencies == ("python=3.11.1=0",)


def test_channels_come_from_the_records_without_their_secrets(prefix):
    prefix.record("a", "1", base="https://repo.anaconda.com/pkgs/main/linux-64")
    prefix.record("b", "1", base="https://u:s3cret@h.example/t/tk-s3cret/mine/linux-64")
    prefix.record("c", "1", base="file:///channels/own/noarch", subdir="noarch")
    for name in ("d", "e"):
        prefix.record(name, "1")
    parsed = read_prefix(str(prefix.path))
    channels = parsed.definition.conda.channels
    assert channels[0] == "conda-forge"
    assert set(channels) == {"conda-forge", "defaults", "https://h.example/mine", "file:///channels/own"}
    assert "s3cret" not in repr(parsed.definition)


def test_pip_packages_by_their_origin(prefix):
    prefix.record("numpy", "1.0", files=("lib/python3.11/site-packages/numpy-1.0.dist-info/METADATA",))
    prefix.metadata("numpy-1.0.dist-info", "numpy", "1.0")
    prefix.metadata("My_Toy-1.0.dist-info", "My_Toy", "1.0")
    git = {"vcs": "git", "commit_id": "abc", "requested_revision": "main"}
    prefix.metadata("g-1.dist-info", "g", "1", {"url": "https://u:p@h/g", "vcs_info": git, "subdirectory": "s"})
    prefix.metadata("u-1.dist-info", "u", "1", {"url": "https://h/u-1.zip", "archive_info": {}})
    prefix.metadata("odd-1.dist-info", "odd", "1", {"nothing": 1})
    prefix.metadata("legacy-1-py3.11.egg-info", "legacy", "1", file="PKG-INFO")
    (prefix.site / "single-2-py3.11.egg-info").write_text("Name: single\nVersion: 2\n")
    (prefix.site / "broken-1.dist-info").mkdir()
    parsed = read_prefix(str(prefix.path))
    assert [item.text for item in parsed.definition.pip.requirements] == [
        "g @ git+https://h/g@abc#subdirectory=s",
        "legacy==1",
        "my-toy==1.0",
        "odd==1",
        "single==2",
        "u @ https://h/u-1.zip",
    ]
    assert sorted(warning.code for warning in parsed.warnings if warning.code != "history-missing") == [
        "origin-unread",
        "package-missing",
    ]


def test_editable_and_local_ones_are_taken_where_they_are(prefix, tmp_path):
    project = tmp_path / "a project"
    project.mkdir()
    (project / "pyproject.toml").write_text("")
    url = project.as_uri()
    prefix.metadata("e-1.dist-info", "e", "1", {"url": url, "dir_info": {"editable": True}})
    prefix.metadata("f-1.dist-info", "f", "1", {"url": (tmp_path / "gone").as_uri(), "dir_info": {}})
    (prefix.site / "linked.egg-link").write_text(f"{tmp_path}/gone\n.")
    parsed = read_prefix(str(prefix.path))
    (item,) = parsed.definition.pip.requirements
    assert (item.kind, item.path) == ("editable", str(project))
    assert [w.code for w in parsed.warnings if w.code != "history-missing"] == ["package-missing", "package-missing"]


def test_what_pip_installed_is_none_of_condas(prefix):
    prefix.record("toy", "1.0", channel="pypi", url=None)
    assert "toy" not in repr(prefix.specs)


@pytest.mark.parametrize("content", ["", "[]", '{"name": 1}', "{"])
def test_a_record_that_is_none_names_its_file(prefix, content):
    path = prefix.path / "conda-meta/bad-1-0.json"
    path.write_text(content)
    with pytest.raises(PrefixRecordError) as caught:
        read_prefix(str(prefix.path))
    assert caught.value.location is not None
    assert caught.value.location.path == str(path)
    assert caught.value.hint


def make(path: Path) -> str:
    (path / "conda-meta").mkdir(parents=True)
    return str(path)


def test_the_first_place_of_conda_wins(tmp_path):
    home = tmp_path / "home"
    (home / ".conda").mkdir(parents=True)
    variables = {"HOME": str(home), "CONDA_ENVS_PATH": f"{tmp_path}/a:{tmp_path}/b", "CONDARC": f"{tmp_path}/rc"}
    listed = make(tmp_path / "elsewhere" / "x")
    (home / ".conda/environments.txt").write_text(f"{listed}\n")
    assert find_prefix("x", "/", variables) == listed
    own = make(home / ".conda/envs/x")
    assert find_prefix("x", "/", variables) == own
    (home / ".condarc").write_text(f"envs_dirs: [{tmp_path}/d]\n")
    in_home = make(tmp_path / "d" / "x")
    assert find_prefix("x", "/", variables) == in_home
    (tmp_path / "rc").write_text(f"envs_path:\n- {tmp_path}/c\n")
    told = make(tmp_path / "c" / "x")
    assert find_prefix("x", "/", variables) == told
    first = make(tmp_path / "b" / "x")
    assert find_prefix("x", "/", variables) == first
    assert set(list_prefixes(str(home), variables)) == {listed, own, in_home, told, first}


def test_base_is_the_installation(tmp_path):
    root = tmp_path / "conda"
    make(root)
    (root / "condabin").mkdir()
    inner = make(root / "envs" / "x")
    variables = {"HOME": str(tmp_path), "CONDA_EXE": f"{root}/bin/conda"}
    assert find_prefix("base", "/", variables) == str(root)
    assert find_prefix("x", "/", variables) == inner
    assert find_prefix("x", "/", {"HOME": str(tmp_path), "CONDA_PREFIX": inner}) == inner
    with pytest.raises(PrefixUnknownError):
        find_prefix("base", "/", {"HOME": str(tmp_path)})


def test_folders_are_named_with_the_callers_variables(tmp_path):
    path = make(tmp_path / "envs" / "x")
    (tmp_path / ".condarc").write_text("envs_dirs: ['$PLACE/envs', '${PLACE}/more']\n")
    assert find_prefix("x", "/", {"HOME": str(tmp_path), "PLACE": str(tmp_path)}) == path
    other = make(tmp_path / "mamba" / "envs" / "y")
    assert find_prefix("y", "/", {"HOME": str(tmp_path), "MAMBA_ROOT_PREFIX": f"{tmp_path}/mamba"}) == other
    with pytest.raises(PrefixUnknownError):
        find_prefix("x", "/", {"HOME": str(tmp_path)})


def test_paths_are_taken_from_the_working_folder_and_home(tmp_path):
    path = make(tmp_path / "here")
    assert find_prefix("./here", str(tmp_path), {}) == path
    assert find_prefix("~/here", "/", {"HOME": str(tmp_path)}) == path
    assert find_prefix(".", path, {}) == path
    with pytest.raises(PrefixUnknownError, match="no folder conda-meta"):
        find_prefix("/nowhere/else", "/", {})
