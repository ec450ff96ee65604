"""Where it is written what made a build fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roost.daemon.builds.failures import explain_failure
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.uv.errors import UvFailedError
from roost.model.definition import Base, Definition, InputFile, Pip, PipItem, ReadResult
from roost.model.errors import BuildError, Location
from roost.wire.plans import SourceView

DOCKERFILE = "FROM debian\n\n  RUN one && \\\n    two\n"
TABLE = '[base]\nimage = "x"\nsteps = ["RUN true", "RUN one && two"]\n'


class StepError(BuildError):
    code = "docker-step-failed"


def resolved(source: Path, definition: Definition, *inputs: Path) -> TargetedDefinition:
    files = tuple(InputFile(path=str(path), digest="") for path in inputs)
    return TargetedDefinition(
        parsed=ReadResult(definition=definition, inputs=files),
        digest="",
        canonical=b"",
        settings_digest="",
        settings_canonical=b"",
        platform="linux-64",
        is_image=True,
        source=SourceView(path=str(source), format=""),
        warnings=[],
    )


def place(error: BuildError, tmp_path: Path) -> tuple[str, int | None, int | None]:
    assert error.location is not None
    return str(Path(error.location.path).relative_to(tmp_path)), error.location.line, error.location.column


@pytest.mark.parametrize("way", ["Dockerfile", "context", "steps", "beside"])
def test_an_instruction_is_found_in_its_file(way: str, tmp_path: Path) -> None:
    table, dockerfile = tmp_path / "roost.toml", tmp_path / "Dockerfile"
    table.write_text(TABLE if way == "steps" else '[base]\ndockerfile = "Dockerfile"\n')
    dockerfile.write_text(DOCKERFILE)
    base = {
        "Dockerfile": Base(dockerfile=DOCKERFILE),
        "context": Base(context="sha256:0", context_path=str(tmp_path)),
        "steps": Base(image="x", steps=("RUN true", "RUN one && two")),
        "beside": Base(dockerfile=DOCKERFILE),
    }[way]
    source = dockerfile if way in ("Dockerfile", "context") else table
    error = StepError("x", fields={"instruction": "RUN one && two", "line": None if way == "steps" else 3})
    explain_failure(error, resolved(source, Definition(base=base), source, dockerfile), "b1")
    assert place(error, tmp_path) == (("roost.toml", 3, 23) if way == "steps" else ("Dockerfile", 3, 3))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"url": "https://h/x.git@v1"}, 1),
        ({"url": "https://nowhere/x"}, None),
        ({"package": "Some_Thing"}, 2),
        ({"package": "some"}, None),
        ({"package": "nested"}, 7),
        ({}, None),
    ],
)
def test_a_pip_line_is_found_by_its_url_or_its_name(fields: dict[str, Any], line: int | None, tmp_path: Path) -> None:
    def item(kind: Any, text: str, line: int, *inner: PipItem) -> PipItem:
        return PipItem(kind=kind, text=text, location=Location(path=str(tmp_path / "r.txt"), line=line), items=inner)

    items = (
        item("url", "x @ git+https://h/x.git@v1#egg=x", 1),
        item("requirement", "some.thing>=2", 2),
        item("requirements", "more.txt", 3, item("requirement", "nested", 7)),
    )
    error = BuildError("x", fields=fields)
    explain_failure(error, resolved(tmp_path / "r.txt", Definition(pip=Pip(requirements=items))), "b1")
    assert (error.location.line if error.location else None) == line


def test_the_log_is_named_with_the_builds_id(tmp_path: Path) -> None:
    error: BuildError = UvFailedError("x", hint="Mend it.", location=Location(path="/x", line=1))
    explain_failure(error, resolved(tmp_path / "x", Definition()), "b1")
    assert error.hint == "Mend it. `roost builds logs b1` has the whole output."
    other = BuildError("x", hint="Mend it.")
    explain_failure(other, resolved(tmp_path / "x", Definition()), "b1")
    assert other.hint == "Mend it."
    assert error.location == Location(path="/x", line=1)
