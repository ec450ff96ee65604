"""Which Python of an image a definition names: the default name is nobody's choice."""

from __future__ import annotations

import pytest

from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.images.interpreters import named_interpreter
from roost.model.definition import Definition, Python, ReadResult
from roost.wire.plans import SourceView


@pytest.mark.parametrize("format", ["image", "environment", "azure", "roost", "document"])
@pytest.mark.parametrize(
    ("python", "named"),
    [
        (Python(user_managed=True), None),
        (Python(user_managed=True, interpreter="python"), None),
        (Python(user_managed=True, interpreter="python3.9"), "python3.9"),
        (Python(user_managed=True, interpreter="/opt/python"), "/opt/python"),
        (Python(interpreter="/opt/python"), None),
    ],
)
def test_the_default_name_of_a_python_is_not_demanded_of_an_image(format: str, python: Python, named: str) -> None:
    resolved = TargetedDefinition(
        parsed=ReadResult(definition=Definition(python=python), format=format),
        digest="sha256:0",
        canonical=b"{}",
        settings_digest="sha256:0",
        settings_canonical=b"{}",
        source=SourceView(path=None, format=format),
        warnings=[],
        platform="linux-64",
        is_image=True,
    )
    assert named_interpreter(resolved) == named
