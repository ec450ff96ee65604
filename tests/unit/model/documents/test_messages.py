"""No message repeats a whole file, however it is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.model.documents.document import shorten_message
from roost.model.readers.read import read_source
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

WORDS = " ".join(f"word{number}" for number in range(90))
TABLE = ", ".join(f'k{number} = "{"x" * 30}"' for number in range(12))
MAPPING = json.dumps({f"k{number}": "x" * 30 for number in range(12)})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", MAPPING),
        ("requirements.txt", WORDS),
        ("requirements.txt", f"-r {'x' * 700}"),
        ("requirements.txt", f"--index-url {'x' * 700} --unknown"),
        ("explicit.txt", f"@EXPLICIT\n{WORDS}"),
        ("pyproject.toml", f"[project]\ndependencies = {{{TABLE}}}"),
        ("roost.toml", f"[conda]\nchannels = {{{TABLE}}}"),
        ("uv.lock", f'version = {{{TABLE}}}\nrequires-python = "3"'),
        ("x.py", f"# /// script\n# dependencies = {{{TABLE}}}\n# ///"),
        ("environment.yml", f"dependencies: {WORDS}"),
        ("environment.yml", WORDS),
        ("environment.yml", f"dependencies:\n- {WORDS}"),
        ("environment.yml", f"{WORDS.replace(' ', '|')}: 1\ndependencies: []"),
        ("page", "<html>" + "<p>text</p>" * 60 + "</html>"),
    ],
)
def test_no_message_repeats_a_file_of_one_line(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text + "\n")
    problems = read_source(DefinitionSource(path=str(path)), LocalFiles()).problems
    assert problems or WORDS in text  # conda takes words behind a name for a version
    for problem in problems:
        for shown in (problem.message, problem.hint):
            assert len(shown) <= 400
            assert max(WORDS, TABLE, MAPPING, key=len) not in shown


@given(st.text(max_size=2_000))
def test_a_short_message_stays_and_a_long_one_keeps_both_ends(text):
    shown = shorten_message(text)
    assert len(shown) <= 400
    assert shown == text if len(text) <= 400 else (text.startswith(shown[:180]) and text.endswith(shown[-200:]))
