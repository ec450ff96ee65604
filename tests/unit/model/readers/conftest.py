"""A reader's test writes its files into a folder and reads one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from roost.model.definition import ReadResult
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

Parse = Callable[..., ReadResult]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file below the test's folder."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def parse(write: Callable[[str, str | bytes], Path]) -> Parse:
    """Read ``content`` as the file ``name``."""

    def parse(content: str | bytes, name: str = "environment.yml", format: str | None = None) -> ReadResult:
        return read_definition(DefinitionSource(path=str(write(name, content)), format=format), LocalFiles())

    return parse


@pytest.fixture
def refused(parse: Parse) -> Callable[..., InvalidDefinitionError]:
    """The error that reading ``content`` ends in."""

    def refused(content: str | bytes, name: str = "environment.yml") -> InvalidDefinitionError:
        with pytest.raises(InvalidDefinitionError) as caught:
            parse(content, name)
        assert caught.value.location is not None
        assert caught.value.location.path.endswith(name)
        return caught.value

    return refused
