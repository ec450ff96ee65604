"""The text of run configurations: scalars stay texts, and the extracted environment keeps its position."""

from __future__ import annotations

import pytest
import yaml

from roost.client import DefinitionError
from roost.client.api.configurations.text import extract_environment, parse

TEXT = """\
script: train.py
environmentVariables: {USE_GPU: yes, AT: 12:30, V: 1.10, N: 010, SAID: "null", NONE: null, D: 2020-01-02}
nodeCount: 2
docker:
  useDocker: True
"""


def test_scalars_are_texts_as_written() -> None:
    found = parse(TEXT, "x")
    assert found.variables("environmentVariables") == {
        "USE_GPU": "yes",
        "AT": "12:30",
        "V": "1.10",
        "N": "010",
        "SAID": "null",
        "NONE": "",
        "D": "2020-01-02",
    }
    assert (found.number("nodeCount"), found.text("command"), found.table("docker").flag("useDocker")) == (
        2,
        None,
        True,
    )


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("docker: {useDocker: yes}", lambda found: found.table("docker").flag("useDocker")),
        ("docker: [a]", lambda found: found.table("docker")),
        ("arguments: --n 3", lambda found: found.texts("arguments")),
        ("arguments: [[a]]", lambda found: found.texts("arguments")),
        ("script: [a]", lambda found: found.text("script")),
        ("environmentVariables: {A: [b]}", lambda found: found.variables("environmentVariables")),
    ],
)
def test_what_is_of_another_kind_is_refused(text: str, ask: object) -> None:
    assert callable(ask)
    with pytest.raises(DefinitionError, match="is not"):
        ask(parse(text, "x"))


@pytest.mark.parametrize("text", ["- a", "a: {", "? {a: b}\n: c", "environment: [a]", "a: 1\n---\nb: 2\n"])
def test_what_is_no_run_configuration_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        parse(text, "x")


@pytest.mark.parametrize(
    "text",
    [
        f"{TEXT}environment:\n  name: e\n  python:\n    version: 3.10 # so\n\n    x: 2020-01-02\nhistory: {{a: b}}\n",
        "# said\nenvironment: {name: e,\n python: {version: 3.10, x: 2020-01-02}}\ntarget: local\n",
        '{"a": "b",\n "environment": {"name": "e",\n "python": {"version": 3.10, "x": 2020-01-02}}, "c": [1]}',
        "environment: beside.yml\ntarget: local\n",
    ],
)
def test_the_environment_alone_stays_where_it_is(text: str) -> None:
    alone = extract_environment(text)
    assert set(yaml.safe_load(alone)) == {"environment", "target"}
    assert yaml.safe_load(alone)["environment"] == yaml.safe_load(text)["environment"]
    value = "beside.yml" if "beside" in text else "2020-01-02"
    before, found = (said.splitlines() for said in (text, alone))
    line = next(number for number, content in enumerate(before) if value in content and "NONE" not in content)
    assert found[line].index(value) == before[line].index(value)


def test_what_the_environment_refers_to_elsewhere_comes_along() -> None:
    text = "x: &packages\n  version: 3.10\n  quoted: '1.0'\ny: &whole\n  name: e\n  python: *packages\n"
    for environment in ("*whole", "\n  <<: *whole\n  z: |\n    a\n    b\n"):
        alone = extract_environment(f"{text}environment: {environment}\n")
        found = parse(alone, "x").data["environment"]
        assert found["python"] == {"version": "3.10", "quoted": "1.0"}
        assert found.get("z") in (None, "a\nb\n")
        assert "quoted: '1.0'" in alone, "what was quoted is"
