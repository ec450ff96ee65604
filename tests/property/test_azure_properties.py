"""Azure's folders, with anything in them anywhere: read or refused with a place, and what is read survives."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings
from roost.model.definition import Defaults, ReadResult
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.writers.write import ExportSource, write_export
from roost.store.sources.files import LocalFiles

FULL: dict[str, Any] = {
    "name": "full",
    "version": "7",
    "environmentVariables": {"A": "1"},
    "python": {
        "userManagedDependencies": False,
        "interpreterPath": "python",
        "condaDependenciesFile": None,
        "baseCondaEnvironment": None,
        "condaDependencies": {"name": "x", "dependencies": ["python=3.8", {"pip": ["six"]}, "numpy"]},
    },
    "docker": {
        "enabled": True,
        "baseImage": "r.example/a/b:1",
        "baseDockerfile": None,
        "sharedVolumes": False,
        "gpuSupport": True,
        "shmSize": "4g",
        "arguments": ["--ipc=host"],
        "baseImageRegistry": {"address": "r.example", "username": None, "password": None, "registryIdentity": None},
        "platform": {"os": "Linux", "architecture": "amd64"},
    },
    "spark": {
        "repositories": ["https://m.example"],
        "packages": [{"group": "g", "artifact": "a", "version": "1"}],
        "precachePackages": False,
    },
    "databricks": {"mavenLibraries": [{"coordinates": "a:b:1"}], "pypiLibraries": [], "rcranLibraries": None},
    "r": {
        "rVersion": "3.6",
        "userManaged": True,
        "cranPackages": [{"name": "x", "version": "1"}],
        "githubPackages": [],
    },
    "inferencingStackVersion": "latest",
    "assetId": None,
}


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(place for key, each in inner for place in places(each, (*above, key)))]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "x", "a=b", "python", "true", "1.10", "é", "a:b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "x", "os", "pip"]), inner),
    max_leaves=4,
)
changes = st.lists(st.tuples(st.sampled_from(places(FULL)[1:]), values | st.just("DROP")), max_size=3)


def changed(form: Any, place: tuple[Any, ...], value: Any) -> None:
    *above, last = place
    for key in above:
        try:
            form = form[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(form, dict) and value == "DROP":
        form.pop(last, None)
    elif isinstance(form, dict) or (isinstance(form, list) and isinstance(last, int) and last < len(form)):
        form[last] = value


def loaded(folder: Path, files: dict[str, bytes]) -> ReadResult:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return read_definition(DefinitionSource(path=str(folder)), LocalFiles())


@hypothesis_settings(max_examples=300)
@given(changes)
def test_what_is_read_survives_and_what_is_not_has_a_place(wanted):
    form = copy.deepcopy(FULL)
    for place, value in wanted:
        changed(form, place, value)
    base = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    try:
        refusal = assert_survives(base, form)
    finally:
        shutil.rmtree(base)
    if refusal is not None:
        assert refusal.location is not None
        assert refusal.location.path.startswith(str(base))


def assert_survives(base: Path, form: Any) -> InvalidDefinitionError | None:
    """What is written and read again is what was read; else the refusal to read it."""
    try:
        parsed = loaded(base / "one", {"azureml_environment.json": json.dumps(form).encode()})
    except InvalidDefinitionError as error:
        return error
    exported = ExportSource(definition=parsed.definition, settings=parsed.settings, name=parsed.name)
    again = loaded(base / "two", write_export("azure", exported).files)
    assert canonicalise_definition(again.definition, Defaults()) == canonicalise_definition(
        parsed.definition, Defaults()
    )
    assert canonicalise_settings(again.settings) == canonicalise_settings(parsed.settings)
    assert again.name == parsed.name
    assert write_export("roost", exported).files["roost.toml"].startswith(b"name" if parsed.name else b"")
    return None
