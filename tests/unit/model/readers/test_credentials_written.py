"""A text that is kept and run as it is holds no credentials: it is refused with its place, whatever file it is in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from roost.model.readers.read import read_definition
from roost.model.readers.source import CredentialsWrittenError, DefinitionSource
from roost.store.sources.files import LocalFiles

SECRET = "hunter2"
RUN = f"RUN pip install -i https://u:{SECRET}@h.example/simple y"
FILE = f"FROM debian:12-slim\n{RUN}\n"
AZURE = {"name": "x", "docker": {"baseDockerfile": FILE}}
V2 = "$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json\nname: x\n"


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"Dockerfile": FILE}, "Dockerfile:2"),
        ({".": "", "Dockerfile": FILE}, "Dockerfile:2"),
        ({"roost.toml": f'[base]\nimage = "x"\nsteps = [\n"RUN true",\n"{RUN}"]\n'}, "roost.toml:5"),
        ({"roost.toml": f'[base]\ndockerfile = """\n{FILE}"""\n'}, "roost.toml:2"),
        ({"roost.toml": f"[base]\ndockerfile = {{text = '{RUN}'}}\n"}, "roost.toml:2"),
        ({"roost.toml": '[base]\ndockerfile = "d/File"\n', "d/File": FILE}, "d/File:2"),
        ({"roost.toml": '[base]\ncontext = "d"\n', "d/Dockerfile": FILE}, "d/Dockerfile:2"),
        ({"roost.toml": f'[base]\nimage = "https://u:{SECRET}@h.example/x"\n'}, "roost.toml"),
        ({"azureml_environment.json": json.dumps(AZURE)}, "azureml_environment.json:1"),
        ({".": "", "azureml_environment.json": '{"name": "x"}', "BaseDockerfile": FILE}, "BaseDockerfile:2"),
        ({"it.yml": V2 + "build: {path: d}\n", "d/Dockerfile": FILE}, "d/Dockerfile:2"),
    ],
)
def test_it_is_refused_where_it_stands(tmp_path: Path, files: dict[str, str], place: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name != ".":
            (tmp_path / name).write_text(text)
    with pytest.raises(CredentialsWrittenError) as caught:
        read_definition(DefinitionSource(path=str(tmp_path / next(iter(files)))), LocalFiles())
    assert f"{caught.value.location}:".startswith(f"{tmp_path}/{place}:")
    assert "h.example" in caught.value.message
    assert SECRET not in f"{caught.value.message} {caught.value.hint} {caught.value.fields}"
