"""What of a definition travels in a catalogue, and what is of one machine."""

from __future__ import annotations

import msgspec
import pytest

from roost.daemon.curated.catalogue import Catalogue, decode_catalogue, encode_catalogue, make_entry
from roost.daemon.curated.portability import find_portability_fault, make_portable
from roost.daemon.curated.validation import read_versions
from roost.model.canonical.form import canonicalise_definition
from roost.model.definition import Base, Conda, Defaults, Definition, Pip, PipItem, Python, Settings
from roost.model.errors import Location
from roost.model.records import EnvironmentBody

HERE = "registry.example.org/team"

WHOLE = Definition(
    base=Base(dockerfile="FROM debian:12\nRUN true\n", platform="linux/amd64"),
    conda=Conda(channels=("conda-forge", "https://${TEAM}@c.example"), dependencies=("python=3.12",)),
    pip=Pip(
        requirements=(
            PipItem(kind="option", text="--index-url https://i.example/simple"),
            PipItem(
                kind="requirements",
                text="more.txt",
                path="/home/me/more.txt",
                items=(
                    PipItem(kind="requirement", text="six==1", location=Location(path="/home/me/more.txt", line=1)),
                    PipItem(
                        kind="constraints",
                        text="c.txt",
                        path="/home/me/c.txt",
                        items=(PipItem(kind="requirement", text="numpy<2"),),
                    ),
                ),
            ),
            PipItem(kind="url", text="a @ https://files.example/a.whl"),
            PipItem(kind="constraints", text="https://i.example/constraints.txt"),
        )
    ),
    python=Python(requires=">=3.10"),
    system={"cuda": "12"},
    inference_stack="latest",
)


def test_files_that_a_definition_was_written_in_travel_with_it() -> None:
    defaults = Defaults(channels=("mine",), base_image="debian:13", index="https://i.example/simple")
    travelling = make_portable(WHOLE)
    assert canonicalise_definition(travelling, defaults) == canonicalise_definition(WHOLE, defaults)
    assert b"/home/me" not in msgspec.json.encode(travelling)
    assert find_portability_fault(travelling, Settings()) is None
    made = make_entry("Roost-Whole", 1, EnvironmentBody(definition=travelling, defaults=defaults))
    (new,) = read_versions(decode_catalogue(encode_catalogue(Catalogue(entries=(made,))).blobs[1][1], HERE), HERE)
    assert new.canonical == canonicalise_definition(WHOLE, defaults)
    assert (new.body.defaults, new.kind, new.origin, new.number) == (defaults, "curated", HERE, 1)


@pytest.mark.parametrize(
    "item",
    [
        PipItem(kind="wheel", text="a-1-py3-none-any.whl", digest="sha256:" + "0" * 64, path="/a.whl"),
        PipItem(kind="source", text="project", digest="sha256:" + "0" * 64, path="/home/me/project"),
        PipItem(kind="editable", text="project", digest="sha256:" + "0" * 64, path="/home/me/project"),
        PipItem(kind="option", text="--find-links", digest="sha256:" + "0" * 64, path="/srv/wheels"),
        PipItem(kind="url", text="git+file:///home/me/project"),
        PipItem(kind="option", text="--index-url ./simple"),
    ],
)
def test_what_is_of_one_machine_does_not(item: PipItem) -> None:
    assert find_portability_fault(make_portable(Definition(pip=Pip(requirements=(item,)))), Settings()) is not None


def test_an_interpreter_may_be_that_of_an_image() -> None:
    python = Python(user_managed=True, interpreter="/opt/python/bin/python")
    assert find_portability_fault(Definition(python=python), Settings()) is not None
    assert find_portability_fault(Definition(base=Base(image="python:3.12"), python=python), Settings()) is None
