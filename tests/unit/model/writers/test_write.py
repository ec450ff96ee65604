"""Exports: what each format holds, what it has no place for, and what makes it impossible."""

from __future__ import annotations

import json
import shutil

import msgspec
import pytest
import yaml
from packaging.requirements import Requirement

from roost.model.canonical.form import canonicalise_definition
from roost.model.definition import (
    Base,
    Conda,
    ContainerSettings,
    Defaults,
    Definition,
    Pip,
    PipItem,
    Python,
    R,
    Settings,
    Spark,
)
from roost.model.documents.toml_text import TomlText
from roost.model.errors import InvalidRequestError
from roost.model.locks.formats import LockNotPortableError
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Wheel
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.writers.write import EXPORT_FORMATS, ExportImpossibleError, ExportSource, write_export
from roost.store.sources.files import LocalFiles

SHA = "a" * 64
EVERYTHING = Definition(
    base=Base(image="a/b:1", steps=("RUN x",), platform="linux/amd64"),
    conda=Conda(channels=("conda-forge",), dependencies=("python=3.11",)),
    pip=Pip(requirements=(PipItem(kind="requirement", text="six==1.16.0"),)),
    python=Python(requires=">=3.8"),
    system={"cuda": "12"},
    spark=Spark(packages=("g:a:1",)),
    r=R(version="4"),
    inference_stack="latest",
)
SETTINGS = Settings(
    variables={"A": "1"},
    container=ContainerSettings(shm_size="2g"),
    passthrough={"azure": {"docker": {"enabled": True}}},
)
LOCK = Lock(
    platform="linux-64",
    provider=CondaPython(),
    conda=(
        CondaPackage(
            name="python",
            version="3.11.1",
            build="h1_0_cpython",
            subdir="linux-64",
            file_name="python-3.11.1-h1_0_cpython.conda",
            url="https://conda.anaconda.org/conda-forge/linux-64/python-3.11.1-h1_0_cpython.conda",
            sha256=SHA,
        ),
    ),
    wheels=(Wheel(name="six", version="1.16.0", url="https://f/six-1.16.0-py3-none-any.whl", sha256=SHA),),
)
NO_PLACE = {
    "azure": {"python.requires", "system"},
    "azure-v2": {"base.platform", "python.requires", "system", "spark", "r", "inference", "container", "kept.azure"},
    "conda": {
        *("base.image", "base.steps", "base.platform", "python.requires", "system", "spark", "r", "inference"),
        *("container", "kept.azure"),
    },
    "roost": set(),
}
NO_PLACE["conda-builds"] = NO_PLACE["conda"]
NO_PLACE["explicit"] = NO_PLACE["conda"] | {"variables"}
NO_PLACE["conda-lock"] = NO_PLACE["pixi"] = NO_PLACE["requirements"] = NO_PLACE["explicit"]


def exported(
    definition: Definition = EVERYTHING, settings: Settings = SETTINGS, lock: Lock | None = LOCK
) -> ExportSource:
    return ExportSource(definition=definition, settings=settings, name="train", lock=lock)


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_what_has_no_place_is_named_each_by_its_section(format):
    lossy = [warning.message for warning in write_export(format, exported()).warnings if warning.code == "export-lossy"]
    named = {message.partition("[")[2].partition("]")[0] for message in lossy}
    assert named - {""} == NO_PLACE[format]


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_every_format_is_read_back_as_what_it_is(format, tmp_path):
    written = write_export(format, exported())
    for name, content in written.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert next(iter(written.files)) == EXPORT_FORMATS[format].file
    parsed = read_definition(DefinitionSource(path=str(tmp_path / EXPORT_FORMATS[format].file)), LocalFiles())
    assert parsed.format == {"conda-builds": "conda", "pixi": "pixi-lock"}.get(format, format)
    assert "six" in parsed.definition.pip.requirements[0].text


def test_conda_builds_are_exact():
    content = yaml.safe_load(write_export("conda-builds", exported()).files["environment.yml"])
    assert content["dependencies"] == ["python=3.11.1=h1_0_cpython", {"pip": ["six==1.16.0"]}]
    assert content["channels"] == ["conda-forge"]
    assert content["variables"] == {"A": "1"}


def test_a_host_python_is_named_for_conda():
    lock = msgspec.structs.replace(LOCK, provider=HostPython(version="3.11.7", executable="/x/python"), conda=())
    content = yaml.safe_load(write_export("conda-builds", exported(lock=lock)).files["environment.yml"])
    assert content["dependencies"] == ["python=3.11.7", "pip", {"pip": ["six==1.16.0"]}]


def test_requirements_are_pinned_with_digests_and_the_conda_packages_named():
    places = ("--index-url https://h.example/simple", "--pre", "--find-links https://h.example/wheels")
    options = tuple(PipItem(kind="option", text=text) for text in places)
    definition = msgspec.structs.replace(EVERYTHING, pip=Pip(requirements=(*options, *EVERYTHING.pip.requirements)))
    written = write_export("requirements", exported(definition))
    lines = written.files["requirements.txt"].decode().splitlines()
    assert lines == [places[0], places[2], f"six==1.16.0 --hash=sha256:{SHA}"]
    assert Requirement(lines[2].partition(" --hash")[0]).name == "six"
    assert any(warning.message.endswith("the 1 conda packages: python") for warning in written.warnings)


@pytest.mark.parametrize("format", ["conda-builds", "explicit", "conda-lock", "pixi", "requirements"])
def test_what_only_this_machine_has_is_no_line_of_another_tools_lock(format):
    built = msgspec.structs.replace(LOCK, wheels=(Wheel(name="mine", version="1", kind="built", sha256=SHA),))
    with pytest.raises(LockNotPortableError, match="mine 1"):
        write_export(format, exported(lock=built))


@pytest.mark.parametrize("format", ["conda-builds", "explicit", "conda-lock", "pixi", "requirements"])
def test_a_user_managed_environment_has_no_lock_to_export(format):
    with pytest.raises(InvalidRequestError, match="has none"):
        write_export(format, exported(Definition(python=Python(user_managed=True)), lock=None))


@pytest.mark.parametrize("format", ["azure", "azure-v2", "conda"])
def test_a_list_of_package_files_needs_a_format_that_can_name_them(format):
    listed = Definition(conda=Conda(explicit={"linux-64": ("https://h/linux-64/a-1-0.conda",)}))
    with pytest.raises(ExportImpossibleError, match="list of package files"):
        write_export(format, exported(listed))


def test_an_unknown_format_is_told_the_nearest():
    with pytest.raises(InvalidRequestError) as caught:
        write_export("conda-build", exported())
    assert "'conda-builds'" in caught.value.hint


def test_local_wheels_go_along_and_folders_are_named():
    wheel = PipItem(
        kind="wheel", text="x-1-py3-none-any.whl[a]", digest=f"sha256:{SHA}", path="/kept/x-1-py3-none-any.whl"
    )
    folder = PipItem(kind="editable", text="x[b]", digest=f"sha256:{SHA}", path="/src/x")
    written = write_export("conda", exported(Definition(pip=Pip(requirements=(wheel, folder)))))
    content = yaml.safe_load(written.files["environment.yml"])
    assert content["dependencies"] == [{"pip": ["./wheels/x-1-py3-none-any.whl[a]", "-e /src/x[b]"]}]
    source = PipItem(kind="source", text='y[b] ; os_name == "posix"', digest=f"sha256:{SHA}", path="/src/y")
    beside = write_export("conda", exported(Definition(pip=Pip(requirements=(source,)))))
    assert beside.copies["sources/y"].folder
    assert b"./sources/y[b] ; os_name" in beside.files["environment.yml"]
    assert written.copies["wheels/x-1-py3-none-any.whl"].path == "/kept/x-1-py3-none-any.whl"
    assert [warning.message for warning in written.warnings if warning.code == "export-local"] == [
        "/src/x is not copied: the export works only on this machine"
    ]


def test_sections_that_were_null_are_null_again(tmp_path):
    form = {
        "name": "x",
        "python": None,
        "docker": None,
        "spark": None,
        "databricks": None,
        "environmentVariables": None,
    }
    (tmp_path / "azureml_environment.json").write_text(json.dumps(form))
    parsed = read_definition(DefinitionSource(path=str(tmp_path)), LocalFiles())
    written = write_export(
        "azure", ExportSource(definition=parsed.definition, settings=parsed.settings, name=parsed.name)
    )
    again = json.loads(written.files["azureml_environment.json"])
    assert {key: again[key] for key in form} == form


def test_docker_steps_become_a_dockerfile_for_azure():
    written = write_export("azure", exported())
    assert written.files["BaseDockerfile"] == b"FROM a/b:1\nRUN x\n"
    assert json.loads(written.files["azureml_environment.json"])["docker"]["baseImage"] is None
    assert "export-changed" in [warning.code for warning in written.warnings]
    v2 = write_export("azure-v2", exported())
    assert v2.files["context/Dockerfile"] == b"FROM a/b:1\nRUN x\n"
    assert yaml.safe_load(v2.files["environment.yml"])["build"] == {"path": "./context"}


def test_a_build_context_goes_along_where_it_can():
    context = Definition(base=Base(context=f"sha256:{SHA}", context_path="/src/context"))
    with pytest.raises(ExportImpossibleError, match="build context"):
        write_export("azure", exported(context))
    v2 = write_export("azure-v2", exported(context))
    assert yaml.safe_load(v2.files["environment.yml"])["build"] == {"path": "./context"}
    assert (v2.copies["context"].path, v2.copies["context"].folder) == ("/src/context", True)
    lost = Definition(base=Base(context=f"sha256:{SHA}"))
    with pytest.raises(ExportImpossibleError, match="digest only"):
        write_export("azure-v2", exported(lost))


def test_roosts_own_file_says_all_of_it():
    document = TomlText(write_export("roost", exported()).files["roost.toml"].decode(), "/roost.toml").data
    assert document["name"] == "train"
    assert document["kept"] == {"azure": {"docker": {"enabled": True}}}
    assert document["system"] == {"cuda": "12"}


def test_roosts_own_file_takes_along_what_lies_here():
    wheel = PipItem(
        kind="wheel", text="x-1-py3-none-any.whl", digest=f"sha256:{SHA}", path="/kept/x-1-py3-none-any.whl"
    )
    base = Base(context=f"sha256:{SHA}", context_path="/src/context")
    written = write_export("roost", exported(Definition(base=base, pip=Pip(requirements=(wheel,)))))
    document = TomlText(written.files["roost.toml"].decode(), "/roost.toml").data
    assert document["pip"]["requirements"] == ["./wheels/x-1-py3-none-any.whl"]
    assert document["base"] == {"context": "context"}
    assert set(written.copies) == {"wheels/x-1-py3-none-any.whl", "context"}


INDEXES = ("--index-url https://corp.example/simple", "--extra-index-url https://more.example/simple")
NESTED = PipItem(
    kind="requirements",
    text="more.txt",
    path="/x/more.txt",
    items=tuple(PipItem(kind="option", text=text) for text in INDEXES),
)
CORP = "https://corp.example/files/six-1.16.0-py3-none-any.whl"


@pytest.mark.parametrize("format", ["conda-builds", "explicit", "conda-lock", "pixi", "requirements"])
def test_where_the_wheels_are_is_in_the_lock_and_read_back(format):
    """From a nested file too. A machine that imports it looks nowhere else."""
    wheels = (msgspec.structs.replace(LOCK.wheels[0], url=CORP),)
    definition = Definition(pip=Pip(requirements=(NESTED, PipItem(kind="requirement", text="six"))))
    written = write_export(format, exported(definition, lock=msgspec.structs.replace(LOCK, wheels=wheels)))
    (name, content), *_ = written.files.items()
    read_back = read_definition(
        DefinitionSource(path=f"/x/{name}", data=content), LocalFiles()
    ).definition.pip.requirements
    by_url = (f"six @ {CORP} --hash=sha256:{SHA}",)
    by_name = (*INDEXES, "six==1.16.0" + ("" if format == "conda-builds" else f" --hash=sha256:{SHA}"))
    assert tuple(item.text for item in read_back) == (by_url if format in ("conda-lock", "pixi") else by_name)
    assert "export-index" not in {warning.code for warning in written.warnings}


@pytest.mark.parametrize("format", ["conda-builds", "explicit", "conda-lock", "pixi", "requirements"])
def test_where_the_wheels_are_and_the_export_does_not_say_is_told(format):
    remote = PipItem(kind="requirements", text="https://h.example/more.txt")
    links = PipItem(kind="option", text="--find-links https://h.example/wheels")
    definition = Definition(pip=Pip(requirements=(remote, links, PipItem(kind="requirement", text="six"))))
    given = msgspec.structs.replace(exported(definition), defaults=Defaults(index="https://u:p@corp.example/simple"))
    told = " ".join(
        warning.message for warning in write_export(format, given).warnings if warning.code == "export-index"
    )
    assert ("https://h.example/more.txt" in told) == (format != "conda-lock")
    assert ("https://h.example/wheels" in told) == (format == "pixi")
    assert ("https://corp.example/simple" in told) == (format != "conda-lock")
    assert "u:p" not in told


def test_wheels_of_the_usual_index_go_by_name():
    """Any mirror will do."""
    for format in ("explicit", "conda-lock", "pixi"):
        (name, content), *_ = write_export(format, exported()).files.items()
        (item,) = read_definition(
            DefinitionSource(path=f"/x/{name}", data=content), LocalFiles()
        ).definition.pip.requirements
        assert item.text == f"six==1.16.0 --hash=sha256:{SHA}"


def test_roosts_own_file_takes_along_what_nested_files_name(tmp_path):
    """And says nothing of this machine's folders; what stays is warned about."""
    (tmp_path / "in/deep/proj").mkdir(parents=True)
    (tmp_path / "in/deep/x-1-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "in/deep/y-1-py3-none-any.whl").write_bytes(b"other")
    (tmp_path / "in/deep/proj/pyproject.toml").write_text("")
    (tmp_path / "in/requirements.txt").write_text("-r deep/more.txt\n-c deep/pins.txt\n-c deep/local.txt\n")
    (tmp_path / "in/deep/more.txt").write_text("./x-1-py3-none-any.whl\n./proj\n-r most.txt\n")
    (tmp_path / "in/deep/most.txt").write_text("six\n")
    (tmp_path / "in/deep/pins.txt").write_text("six<2\n-r most.txt\n")
    (tmp_path / "in/deep/local.txt").write_text("./y-1-py3-none-any.whl\n")
    definition = read_definition(DefinitionSource(path=str(tmp_path / "in/requirements.txt")), LocalFiles()).definition
    written = write_export("roost", ExportSource(definition=definition))
    assert set(written.copies) == {"wheels/x-1-py3-none-any.whl", "wheels/y-1-py3-none-any.whl", "sources/proj"}
    assert written.warnings == ()
    out = tmp_path / "out"
    for name, copy in written.copies.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if copy.folder else shutil.copy)(copy.path, out / name)
    for name, content in written.files.items():
        assert str(tmp_path).encode() not in content
        (out / name).write_bytes(content)
    again = read_definition(DefinitionSource(path=str(out / "roost.toml")), LocalFiles()).definition
    assert canonicalise_definition(again, Defaults()) == canonicalise_definition(definition, Defaults())


def test_what_roosts_own_file_leaves_behind_is_told():
    options = PipItem(kind="option", text="--find-links", digest=f"sha256:{SHA}", path="/src/links")
    editable = PipItem(kind="editable", text="x", digest=f"sha256:{SHA}", path="/src/x")
    unknown = PipItem(kind="wheel", text="x-1-py3-none-any.whl", digest=f"sha256:{SHA}")
    definition = Definition(pip=Pip(requirements=(options, editable, unknown)))
    written = write_export("roost", exported(definition))
    assert [warning.message.split()[0] for warning in written.warnings if warning.code == "export-local"] == [
        "/src/links",
        "/src/x",
    ]
    assert written.copies == {}
    again = read_definition(
        DefinitionSource(path="/x/roost.toml", data=written.files["roost.toml"]), LocalFiles()
    ).definition
    assert canonicalise_definition(again, Defaults()) == canonicalise_definition(definition, Defaults())


@pytest.mark.parametrize("format", ["conda", "azure", "azure-v2"])
@pytest.mark.parametrize("kind", ["requirement", "option"])
def test_where_packages_come_from_is_never_lost_in_an_export(format, kind):
    text = "six --index=https://own.example/simple" if kind == "requirement" else "--override six==1"
    pinned = Definition(pip=Pip(requirements=(PipItem(kind=kind, text=text),)))
    with pytest.raises(ExportImpossibleError, match="can't express it"):
        write_export(format, exported(pinned))
    written = write_export("roost", exported(pinned)).files["roost.toml"]
    read = read_definition(DefinitionSource(path="/x/roost.toml", data=written), LocalFiles()).definition
    assert read.pip.requirements[0].text == text


def test_a_written_lock_names_the_indexes_that_only_some_packages_have():
    items = (
        PipItem(kind="requirement", text="six==1.16.0 --index=https://own.example/simple"),
        PipItem(kind="option", text="--index https://other.example/simple"),
    )
    lock = msgspec.structs.replace(
        LOCK, wheels=(Wheel(name="six", version="1.16.0", url="https://f/six.whl", sha256=SHA),)
    )
    written = write_export("requirements", exported(Definition(pip=Pip(requirements=items)), lock=lock))
    text = next(iter(written.files.values())).decode()
    assert "--extra-index-url https://own.example/simple\n" in text
    assert "--extra-index-url https://other.example/simple\n" in text
