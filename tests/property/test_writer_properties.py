"""What is written in another tool's format and read again is the same: for each format, of all that it can say."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.corpus import CORPUS, needs_corpus

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings
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
    ReadResult,
    Settings,
    Spark,
)
from roost.model.errors import CodedError
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.writers.write import EXPORT_FORMATS, ExportedFiles, ExportSource, write_export
from roost.store.sources.files import LocalFiles

DEFAULTS = Defaults()
WHEEL = b"a wheel's content"
DIGEST = "sha256:" + hashlib.sha256(WHEEL).hexdigest()

words = st.text("abcxyz09", min_size=1, max_size=6)
names = st.text("abcxyz", min_size=1, max_size=6)
texts = st.one_of(words, st.sampled_from(["on", "1.10", "null", "~", "é ü", "a: b", "- x", "", "#c", "a\\b", "x\ny"]))
several = st.lists(names, max_size=3).map(tuple)
bases = st.one_of(
    st.none(),
    st.builds(Base, image=names, platform=st.none() | st.sampled_from(["linux/amd64", "linux/arm64/v8", "windows"])),
    st.builds(Base, dockerfile=st.sampled_from(["FROM x", "FROM x\nRUN y\n", "FROM x\n\n# é\n"])),
    st.just(Base(platform="linux/arm64")),
)
items = st.sampled_from(
    [
        PipItem(kind="requirement", text="six==1.16.0"),
        PipItem(kind="requirement", text='b[c,d]>=1 ; python_version < "4"'),
        PipItem(kind="option", text="--index-url https://h.example/simple"),
        PipItem(kind="option", text="--pre"),
        PipItem(kind="url", text="x @ https://h.example/x-1.zip"),
        PipItem(kind="requirements", text="https://h.example/more.txt"),
        PipItem(kind="constraints", text="https://h.example/pins.txt"),
        PipItem(kind="wheel", text="x-1-py3-none-any.whl[a]", digest=DIGEST, path="/kept/x-1-py3-none-any.whl"),
        PipItem(kind="wheel", text='y-1-py3-none-any.whl ; os_name == "posix"', digest=DIGEST),
        PipItem(kind="source", text="x-1.tar.gz", digest=DIGEST, path="/kept/x-1.tar.gz"),
        PipItem(
            kind="requirements",
            text="more.txt",
            path="/src/more.txt",
            items=(PipItem(kind="requirement", text="numpy<2"),),
        ),
        PipItem(
            kind="constraints",
            text="pins.txt",
            path="/src/pins.txt",
            items=(
                PipItem(kind="requirement", text="numpy<2"),
                PipItem(
                    kind="constraints",
                    text="inner.txt",
                    path="/src/inner.txt",
                    items=(PipItem(kind="requirement", text="six==1"),),
                ),
            ),
        ),
    ]
)
condas = st.builds(
    Conda,
    channels=st.lists(st.sampled_from(["conda-forge", "bioconda", "defaults"]), unique=True).map(tuple),
    dependencies=st.lists(st.sampled_from(["python=3.11", "numpy>=1.8,<2", "c::x", "x=1.0=0"]), unique=True).map(tuple),
)
pips = st.builds(Pip, requirements=st.lists(items, max_size=4).map(tuple))
variables = st.dictionaries(words, texts, max_size=3)
containers = st.builds(ContainerSettings, shm_size=st.none() | st.just("2g"), arguments=several)
azure_definitions = st.builds(
    Definition,
    base=bases,
    conda=condas,
    pip=pips,
    python=st.builds(Python, user_managed=st.booleans(), interpreter=st.sampled_from(["python", "C:\\p\\python.exe"])),
    spark=st.builds(
        Spark, repositories=several, packages=st.lists(st.sampled_from(["g:a:1", "g:a:1:x"]), unique=True).map(tuple)
    ),
    r=st.none()
    | st.builds(
        R,
        version=st.none() | words,
        cran=st.lists(st.sampled_from(["x", "x=1.0", "x=1 @ https://h", "x @ https://h/a@y"])).map(tuple),
        bioconductor=several,
        github=several,
        urls=several,
        snapshot=st.none() | st.just("2019-04-17"),
    ),
    inference_stack=st.none() | words,
)
kept = st.sampled_from(
    [
        {},
        {"azure": {"version": "3", "docker": {"enabled": True, "gpuSupport": False}}},
        {"azure": {"layout": {"conda_name": "x", "pip_at": 0}, "null": ["databricks", "docker.shmSize"]}},
        {"azure": {"null": ["environmentVariables", "spark", "docker", "python.interpreterPath"], "more": {"a": [1]}}},
        {"azure": {"docker": {"baseImageRegistry": {"address": "r.example"}, "sharedVolumes": False}}},
    ]
)


def again(written: ExportedFiles) -> ReadResult:
    """What the reader makes of what was written."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    try:
        for name, content in {**written.files, **dict.fromkeys(written.copies, WHEEL)}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return read_definition(DefinitionSource(path=str(folder / next(iter(written.files)))), LocalFiles())
    finally:
        shutil.rmtree(folder)


def assert_same(format: str, definition: Definition, settings: Settings) -> None:
    exported = ExportSource(definition=definition, settings=settings, name="train")
    parsed = again(write_export(format, exported))
    assert canonicalise_definition(parsed.definition, DEFAULTS) == canonicalise_definition(definition, DEFAULTS)
    assert canonicalise_settings(parsed.settings) == canonicalise_settings(settings)
    assert parsed.name == "train"


def of(definition: Definition, **fields: object) -> Settings:
    """Settings with the interpreter that belongs to ``definition``."""
    python = definition.python
    return Settings(interpreter=python.interpreter if python.user_managed else None, **fields)


@given(azure_definitions, variables, containers, kept)
def test_azures_folder_loses_nothing(definition, given_variables, container, given_kept):
    settings = of(definition, variables=given_variables, container=container, passthrough=given_kept)
    if "docker" in given_kept.get("azure", {}).get("null", []) and definition.base is None:
        container = ContainerSettings()  # what was null and is null again
    if definition.base is not None and definition.base.image and "docker" in given_kept.get("azure", {}):
        address = given_kept["azure"]["docker"].get("baseImageRegistry", {}).get("address")
        if address:  # its place is in front of the image: another image forgets it
            return
    parsed = again(write_export("azure", ExportSource(definition=definition, settings=settings, name="train")))
    assert canonicalise_definition(parsed.definition, DEFAULTS) == canonicalise_definition(definition, DEFAULTS)
    assert parsed.settings.variables == given_variables
    assert parsed.settings.container == settings.container
    assert parsed.settings.interpreter == settings.interpreter
    assert parsed.name == "train"


@given(st.builds(Definition, conda=condas, pip=pips), variables)
def test_a_conda_file_loses_nothing_that_it_can_say(definition, given_variables):
    assert_same("conda", definition, Settings(variables=given_variables))


@given(
    st.builds(Definition, base=st.none() | st.builds(Base, image=names), conda=condas, pip=pips),
    variables,
)
def test_azures_yaml_loses_nothing_that_it_can_say(definition, given_variables):
    assert_same("azure-v2", definition, Settings(variables=given_variables))


@given(azure_definitions, variables, containers, kept)
def test_roosts_own_file_loses_nothing(definition, given_variables, container, given_kept):
    assert_same(
        "roost", definition, of(definition, variables=given_variables, container=container, passthrough=given_kept)
    )


@needs_corpus
@pytest.mark.parametrize("format", ["azure", "conda", "azure-v2", "roost"])
def test_real_files_come_back_the_same_or_with_a_word_on_what_is_lost(format):
    assert format in EXPORT_FORMATS
    same = changed = 0
    for path in sorted(path for path in CORPUS.rglob("*") if path.is_file()):
        try:
            parsed = read_definition(DefinitionSource(path=str(path)), LocalFiles())
            exported = ExportSource(definition=parsed.definition, settings=parsed.settings, name=parsed.name or "x")
            written = write_export(format, exported)
        except CodedError:
            continue
        if any(item.path or item.digest for item in parsed.definition.pip.requirements if item.kind != "requirements"):
            continue  # what lies beside it is not in the corpus
        if any(copy.folder for copy in written.copies.values()):
            continue
        digest = canonicalise_definition(again(written).definition, DEFAULTS)
        lost = [warning.code for warning in written.warnings if warning.code in ("export-lossy", "export-changed")]
        if lost:
            changed += 1
        else:
            assert digest == canonicalise_definition(parsed.definition, DEFAULTS), path
            same += 1
    assert same > 80
    assert (changed == 0) == (format == "roost")
