from __future__ import annotations

import msgspec
import pytest
from rattler import LockFile

from roost.model.errors import InvalidRequestError
from roost.model.locks.formats import LOCK_FILE_FORMATS, LockNotPortableError, write_lock
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

SHA = [f"{number:064x}" for number in range(4)]
MD5 = "d7c89558ba9fa0495403155b64376d81"


def package(name: str, subdir: str, sha: str, **record: object) -> CondaPackage:
    file_name = f"{name}-1.10-0.conda"
    url = f"https://conda.anaconda.org/conda-forge/{subdir}/{file_name}"
    return CondaPackage(
        name=name, version="1.10", build="0", subdir=subdir, file_name=file_name, url=url, sha256=sha, record=record
    )


LOCK = Lock(
    platform="linux-64+cuda12",
    provider=CondaPython(),
    conda=(
        package("python", "linux-64", SHA[0], md5=MD5, depends=["tzdata", "openssl >=3,<4"], license="PSF"),
        package("tzdata", "noarch", SHA[1], depends=[]),
    ),
    wheels=(
        Wheel(name="six", version="1.10", url="https://f/six-1.10-py3-none-any.whl", sha256=SHA[2], requires=("x",)),
        Wheel(name="rich", version="2.0", kind="url", url="https://f/rich-2.0-py3-none-any.whl", sha256=SHA[3]),
    ),
)


@pytest.mark.parametrize("format", LOCK_FILE_FORMATS)
def test_what_is_written_is_read_back_to_the_same_packages(format):
    text = write_lock(LOCK, format, channels=["conda-forge"])
    parsed = read_definition(DefinitionSource(path="/x/lock.yml", data=text.encode()), LocalFiles())
    assert parsed.format == {"pixi": "pixi-lock"}.get(format, format)
    assert parsed.definition.conda.explicit == {
        "linux-64": tuple(f"{item.url}#sha256:{item.sha256}" for item in LOCK.conda)
    }
    six, rich = [item.text for item in parsed.definition.pip.requirements]
    assert six == f"six==1.10 --hash=sha256:{SHA[2]}"
    assert rich in (
        f"rich @ https://f/rich-2.0-py3-none-any.whl --hash=sha256:{SHA[3]}",
        f"rich==2.0 --hash=sha256:{SHA[3]}",  # pixi.lock does not tell an index from a URL
    )
    assert parsed.warnings == ()


def test_the_conda_lock_file_says_what_conda_lock_needs():
    text = write_lock(LOCK, "conda-lock", channels=["conda-forge", "second"])
    content = msgspec.yaml.decode(text)
    assert content["version"] == 1
    assert content["metadata"]["platforms"] == ["linux-64"]
    assert [channel["url"] for channel in content["metadata"]["channels"]] == ["conda-forge", "second"]
    assert content["package"][0]["dependencies"] == {"tzdata": "", "openssl": ">=3,<4"}
    assert content["package"][0]["hash"] == {"md5": MD5, "sha256": SHA[0]}
    assert content["package"][0]["version"] == "1.10"
    assert {entry["manager"] for entry in content["package"]} == {"conda", "pip"}


def test_rattler_reads_the_pixi_lock(tmp_path):
    path = tmp_path / "pixi.lock"
    path.write_text(write_lock(LOCK, "pixi", channels=["conda-forge", "https://h/c"]))
    environment = LockFile.from_path(path).default_environment()
    assert environment is not None
    (platform,) = environment.platforms()
    packages = environment.packages(platform)
    assert packages is not None
    assert sorted(entry.name for entry in packages) == ["python", "rich", "six", "tzdata"]


def test_an_explicit_list_keeps_an_md5_where_there_is_no_more():
    lock = Lock(platform="linux-64", provider=CondaPython(), conda=(package("x", "linux-64", "", md5=MD5),))
    assert write_lock(lock, "explicit").splitlines()[-1].endswith(f"x-1.10-0.conda#{MD5}")


@pytest.mark.parametrize("format", LOCK_FILE_FORMATS)
def test_wheels_of_this_machine_only_are_refused(format):
    wheel = Wheel(name="mine", version="1", kind="built", sha256=SHA[0])
    lock = msgspec.structs.replace(LOCK, wheels=(wheel,))
    with pytest.raises(LockNotPortableError, match="mine 1") as caught:
        write_lock(lock, format)
    assert caught.value.fields == {"packages": ["mine"]}


def test_an_unknown_format_is_wrong_usage():
    with pytest.raises(InvalidRequestError, match="'poetry'"):
        write_lock(LOCK, "poetry")
