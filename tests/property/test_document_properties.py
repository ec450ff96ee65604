"""A definition as a document, and read again, is the same definition with the same settings."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.support.corpus import CORPUS, needs_corpus

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, select_effective_defaults
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
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition, read_tables
from roost.model.readers.source import DefinitionSource
from roost.model.writers.document import to_document
from roost.store.sources.files import LocalFiles

FILES = CORPUS / "files"
DEFAULTS = Defaults()
DIGEST = "sha256:" + "a" * 64

words = st.text("abcxyz09", min_size=1, max_size=6)
texts = st.one_of(words, st.sampled_from(["RUN echo 'a' \"b\"", "FROM x\nRUN y\n", "FROM x", "é ü", "a\\b"]))
several = st.lists(words, max_size=3).map(tuple)
bases = st.one_of(
    st.none(),
    st.builds(
        Base, image=words, steps=st.lists(texts, max_size=2).map(tuple), platform=st.none() | st.just("linux/amd64")
    ),
    st.builds(Base, dockerfile=texts),
    st.builds(Base, context=st.just(DIGEST), context_path=st.none() | st.just("/kept/context")),
    st.just(Base()),
)
local = st.sampled_from(
    [
        PipItem(kind="requirement", text="six==1.16.0"),
        PipItem(kind="option", text="--index-url https://h.example/simple"),
        PipItem(kind="option", text="--find-links", digest=DIGEST, path="/kept/wheels"),
        PipItem(kind="url", text="git+https://h.example/x@v1#egg=x"),
        PipItem(kind="requirements", text="https://h.example/more.txt"),
        PipItem(kind="constraints", text="https://h.example/pins.txt"),
        PipItem(kind="wheel", text="x-1-py3-none-any.whl", digest=DIGEST, path="/kept/x-1-py3-none-any.whl"),
        PipItem(kind="source", text="x[a]", digest=DIGEST, path="/src/x"),
        PipItem(kind="editable", text="x", digest=DIGEST, path="/src/x"),
        PipItem(
            kind="constraints",
            text="pins.txt",
            path="/src/pins.txt",
            items=(PipItem(kind="requirement", text="numpy<2"), PipItem(kind="requirement", text="six==1")),
        ),
    ]
)
definitions = st.builds(
    Definition,
    base=bases,
    conda=st.builds(
        Conda,
        channels=st.lists(st.sampled_from(["conda-forge", "bioconda"]), unique=True).map(tuple),
        dependencies=st.lists(st.sampled_from(["python=3.11", "numpy>=1.8,<2", "c::x"]), unique=True).map(tuple),
        explicit=st.dictionaries(st.just("linux-64"), st.just((f"https://h.example/l/a-1-0.conda#{DIGEST}",))),
    ),
    pip=st.builds(Pip, requirements=st.lists(local, max_size=4).map(tuple)),
    python=st.builds(Python, user_managed=st.booleans(), interpreter=st.sampled_from(["python", "/usr/bin/python3"])),
    system=st.dictionaries(st.sampled_from(["cuda", "glibc"]), words),
    spark=st.builds(Spark, repositories=several, packages=several),
    r=st.none() | st.builds(R, version=st.none() | words, cran=several, github=several, snapshot=st.none() | words),
    inference_stack=st.none() | words,
)
settings = st.builds(
    Settings,
    variables=st.dictionaries(words, texts, max_size=3),
    container=st.builds(ContainerSettings, shm_size=st.none() | st.just("2g"), arguments=several),
    passthrough=st.dictionaries(
        st.just("azure"), st.dictionaries(words, texts | st.booleans() | st.just({"x": ["y"]}))
    ),
)


configs = st.builds(
    Defaults,
    channels=st.sampled_from([("conda-forge",), ("defaults", "https://u:p@h.example/c/"), ("conda-forge", "bioconda")]),
    base_image=st.sampled_from(["debian:12-slim", "corp.example/base:1"]),
    index=st.sampled_from(["pypi", "https://corp.example/simple", "https://u:p@corp.example/simple"]),
)


def assert_same(definition: Definition, given_settings: Settings) -> None:
    document = json.loads(json.dumps(to_document(definition, given_settings, "train")))
    again = read_tables(document, LocalFiles(), "/project/<train>")
    assert canonicalise_definition(again.definition, DEFAULTS) == canonicalise_definition(definition, DEFAULTS)
    assert canonicalise_settings(again.settings) == canonicalise_settings(given_settings)
    assert again.name == "train"
    assert (again.definition.base is None) == (definition.base is None)


@given(definitions, settings)
def test_nothing_is_lost(definition: Definition, given_settings: Settings) -> None:
    if definition.python.user_managed:
        interpreter = definition.python.interpreter
        given_settings = Settings(
            variables=given_settings.variables, container=given_settings.container, interpreter=interpreter
        )
    assert_same(definition, given_settings)


@given(definitions, settings, configs, configs)
def test_the_config_where_it_is_read_changes_nothing(
    definition: Definition, given_settings: Settings, before: Defaults, now: Defaults
) -> None:
    """Written whole, or only with what the config of now would say otherwise."""
    counting = select_effective_defaults(definition, before)
    for own in (counting, counting.without(select_effective_defaults(definition, now))):
        document = json.loads(json.dumps(to_document(definition, given_settings, "train", own)))
        again = read_tables(document, LocalFiles(), "/project/<train>")
        assert canonicalise_definition(again.definition, again.defaults.apply_to(now)) == canonicalise_definition(
            definition, before
        )
        assert (again.definition.base is None) == (definition.base is None)
        assert "u:p@" not in str(document.get("defaults"))


@needs_corpus
def test_nothing_of_real_files_is_lost() -> None:
    count = 0
    for path in sorted(p for p in FILES.rglob("*") if p.is_file()):
        try:
            parsed = read_definition(DefinitionSource(path=str(path)), LocalFiles())
        except InvalidDefinitionError:
            continue
        assert_same(parsed.definition, parsed.settings)
        count += 1
    assert count > 150
