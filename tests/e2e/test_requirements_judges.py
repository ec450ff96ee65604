"""Lines of requirements files, and what pip, uv and roost make of each: pip and uv are asked, not remembered.

roost differs from pip on purpose where pip guesses or passes over something in silence: beginnings of options, options
behind a requirement. What it can't install (``hg+``, ``ftp``) it refuses when it reads the line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.pip_index import wheel_bytes
from uv import find_uv_bin

from roost.model.readers.read import read_source
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

WHEEL = "six-1.16.0-py3-none-any.whl"
SHA = "de" * 32
PIP = """
import json, logging, os, sys
from pip._internal.network.session import PipSession
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements
logging.disable(logging.CRITICAL)
read = []
for line in json.load(sys.stdin):
    with open("line.txt", "w") as file:
        file.write(line + "\\n")
    try:
        read.append(len([install_req_from_parsed_requirement(r) for r in parse_requirements("line.txt", PipSession())]))
    except Exception:
        read.append(None)
print(json.dumps(read))
"""
"""Print, for each line, the number of requirements that pip reads, or null if it refuses the line."""

NO = None
LINES = [
    # options: the line, requirements as pip reads them (NO: refused), whether uv reads it, roost's items or its words
    ("--no-index", 0, True, ["--no-index"]),
    ("--no-ind", 0, False, "Did you mean --no-index?"),
    ("--no-indx", NO, False, "Did you mean --no-index?"),
    ("--extra-index https://h/", 0, False, "Did you mean --extra-index-url?"),
    ("--index https://h/", 0, False, "Did you mean --index-url?"),
    ("--find https://h/", 0, False, "Did you mean --find-links?"),
    ("--pypi-url https://h/", 0, False, ["--index-url https://h/"]),
    ("-index-url https://h/", 0, False, "Did you mean --index-url?"),
    ("--no-deps", NO, False, "is an option of pip's command line"),
    ("--use-wheel", NO, False, "is not an option of requirements files"),
    ("-U", NO, False, "is an option of pip's command line"),
    ("-x", NO, False, "is not an option of requirements files"),
    ("---pre", NO, False, "Did you mean --pre?"),
    ("- six", 0, False, "is neither a requirement nor an option"),
    ("--", 0, False, "is neither a requirement nor an option"),
    ("--no-index=1", NO, False, "--no-index has no value"),
    ("--index-url=", 0, False, "--index-url needs a value"),
    ("--find-links", NO, False, "--find-links needs a value"),
    ("--index-url 'https://h/'", 0, True, ["--index-url https://h/"]),
    ("--index-url=https://h/  # why", 0, True, ["--index-url https://h/"]),
    ('--index-url "https://h/', NO, False, "has no end"),
    ("--index-url \\\n  https://h/", 0, NO, ["--index-url https://h/"]),
    ("--no-index --find-links wheels", 0, True, ["--no-index", "--find-links"]),
    ("--find-links wheels --no-index", 0, False, ["--find-links", "--no-index"]),
    ("-i https://a --extra-index-url https://b", 0, False, ["--index-url https://a", "--extra-index-url https://b"]),
    ("-i https://a -i https://b", 0, False, "is here twice"),
    ("-i https://a https://b", 0, False, ["--index-url https://a"]),
    ("-fwheels", 0, False, ["--find-links"]),
    ("-f=wheels", 0, True, ["--find-links"]),
    ("-f nowhere", 0, False, ["--find-links"]),
    ("--no-binary=six,attrs", 0, False, ["--no-binary six,attrs"]),
    ("--no-require-hashes", 0, False, ["--no-require-hashes"]),
    ("--use-feature fast-deps", 0, True, ["--use-feature fast-deps"]),
    ("-r more.txt", 1, True, ["more.txt"]),
    ("-rmore.txt", 1, False, ["more.txt"]),
    ("-r 'more.txt'", 1, True, ["more.txt"]),
    ("-r more.txt extra.txt", 1, False, ["more.txt"]),
    ("-r more.txt -c more.txt", 1, False, "A file is included in a line with other options"),
    ("-c more.txt", 1, True, ["more.txt"]),
    # options behind requirements
    (f"six --hash=sha256:{SHA}", 1, NO, [f"six --hash=sha256:{SHA}"]),
    (f"six --hash sha256:{SHA}", 1, NO, [f"six --hash=sha256:{SHA}"]),
    (f"six --has sha256:{SHA}", 1, False, "Did you mean --hash?"),
    (f"six --hsh=sha256:{SHA}", NO, False, "Did you mean --hash?"),
    (f"--hash=sha256:{SHA}", 0, False, "belongs behind a requirement"),
    ("six --no-index", 1, False, "can't stand behind a requirement"),
    ("six --index=https://h/", 1, False, "can't stand behind a requirement"),
    ("six -C a=b", 1, False, "can't be used"),
    ("six --global-option=x", NO, False, "is an option of pip's command line"),
    # continuations and comments
    ("six==1.16.0\\\n# c", 1, True, ["six==1.16.0"]),
    ("six==1.16.0 \\\n   # c", 1, True, ["six==1.16.0"]),
    ("six>=1, \\\n  <2", 1, False, ["six>=1,<2"]),
    ("six#c", NO, False, "is not a valid requirement"),
    # paths
    (f"./{WHEEL}", 1, True, [WHEEL]),
    (WHEEL, 1, True, [WHEEL]),
    (f"./{WHEEL} ; python_version>'3'", 1, True, [f'{WHEEL} ; python_version > "3"']),
    (f"./{WHEEL};python_version>'3'", 1, False, [f'{WHEEL} ; python_version > "3"']),
    ("./proj", 1, True, ["proj"]),
    ("./my proj", 1, True, ["my proj"]),
    ("file:./my%20proj", 1, True, ["my proj"]),
    ("./nope", NO, False, "can't be read"),
    ("./more.txt", NO, False, "Did you mean -r ./more.txt?"),
    ("-e ./proj", 1, True, ["proj"]),
    ("-e ./my proj", NO, True, ["my proj"]),
    ("-e './my proj'", 1, False, ["my proj"]),
    ("-e ./proj ; python_version < '3'", 1, True, ['proj ; python_version < "3"']),
    ("-e proj @ ./proj", 1, True, ["proj"]),
    ("-e ./proj -e ./proj", 1, False, "can't stand behind -e"),
    ("-e nope", NO, False, "it is not a folder"),
    (f"-e ./{WHEEL}", NO, False, "it is not a folder"),
    # places behind a name
    (f"six @ ./{WHEEL}", 1, True, [WHEEL]),
    (f"six @ {WHEEL}", 1, True, [WHEEL]),
    (f"six@./{WHEEL}", 1, True, [WHEEL]),
    (f"attrs @ ./{WHEEL}", 1, False, f"{WHEEL} is the package six, and the line requests attrs"),
    (f"attrs @ file:./{WHEEL}", 1, False, f"{WHEEL} is the package six, and the line requests attrs"),
    ("proj @ ./proj", 1, True, ["proj"]),
    ("proj @ proj", 1, True, ["proj"]),
    ("proj @ sub/inner ; python_version > '3'", 1, True, ['inner ; python_version > "3"']),
    ("proj @ file:./my%20proj", 1, True, ["my proj"]),
    ("proj @ ../nope", 1, False, "can't be read"),
    # schemes
    ("novcs+http://h/x", NO, False, "The scheme 'novcs+http' is unknown"),
    ("x @ novcs+http://h/x", 1, False, "The scheme 'novcs+http' is unknown"),
    ("-e novcs+http://h/x", NO, False, "The scheme 'novcs+http' is unknown"),
    ("htps://h/x-1-py3-none-any.whl", 1, False, "Did you mean https://?"),
    ("x @ gti+https://h/x", 1, False, "Did you mean git+https://?"),
    ("hg+https://h/x", 1, False, "only from git"),
    ("x @ svn+https://h/x", 1, False, "only from git"),
    ("git://h/x", NO, False, "Did you mean git+git://?"),
    ("ssh://git@h/x", NO, False, "Did you mean git+ssh://?"),
    ("ftp://h/x-1-py3-none-any.whl", 1, False, "The scheme 'ftp' is unknown"),
    ("-e https://h/x.tar.gz", NO, False, "An archive behind a URL can't be edited"),
    ("git@host:u/r.git", 1, False, "Did you mean git+ssh://git@host/u/r.git?"),
    ("git@host:x", 1, False, "Did you mean git+ssh://git@host/x?"),
    ("-e git@host:u/r.git", NO, False, "Did you mean git+ssh://git@host/u/r.git?"),
    ("x @ git@host:u/r.git", 1, NO, "Did you mean git+ssh://git@host/u/r.git?"),
    ("git+git@host:u/r.git", NO, False, "Did you mean git+ssh://git@host/u/r.git?"),
    ("host:u/r.git", NO, False, "Did you mean git+ssh://git@host/u/r.git?"),
    ("git+ssh://git@host:u/r.git", 1, False, "Write a slash behind the host: host/u/r.git"),
    # requirements
    ("six==1.16.0", 1, True, ["six==1.16.0"]),
    ("six;python_version>'3'", 1, True, ['six ; python_version > "3"']),
    ("six~1.16", NO, False, "is not a valid requirement"),
    ("more.txt", 1, False, "Did you mean -r more.txt?"),
]
"""``uv``: ``NO`` if uv is not asked, because the answer depends on a network or on what the index has."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with what the lines name."""
    root = tmp_path_factory.mktemp("lines")
    (root / "wheels").mkdir()
    for name, version in (("six", "1.16.0"), ("attrs", "23.1.0")):
        file_name, content = wheel_bytes(name, version)
        (root / "wheels" / file_name).write_bytes(content)
        (root / file_name).write_bytes(content)
    for path in ("proj", "my proj", "sub/inner"):
        (root / path).mkdir(parents=True)
        project = '[project]\nname = "proj"\nversion = "1"\n'
        backend = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        (root / path / "pyproject.toml").write_text(project + backend)
        (root / path / "backend.py").write_text("")
    (root / "more.txt").write_text("six\n")
    return root


def test_what_pip_makes_of_the_lines(folder):
    written = json.dumps([line for line, *_ in LINES])
    command = [sys.executable, "-I", "-c", PIP]
    done = subprocess.run(command, cwd=folder, input=written, capture_output=True, text=True, check=True)
    read = json.loads(done.stdout)
    differing = {line: got for (line, pip, *_), got in zip(LINES, read, strict=True) if got != pip}
    assert differing == {}


def test_what_uv_makes_of_the_lines(folder, tmp_path):
    differing = {}
    options = ["--no-config", "--offline", "--no-header", "--no-index", "--quiet", "--find-links", "wheels"]
    environ = {"PATH": os.environ["PATH"], "UV_CACHE_DIR": str(tmp_path)}
    for line, _, accepts, _ in LINES:
        if accepts is not NO:
            (folder / "uv.txt").write_text(f"{line}\n")
            command = [find_uv_bin(), "pip", "compile", *options, "--python", sys.executable, "uv.txt"]
            done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
            if (done.returncode == 0) != accepts:
                differing[line] = done.stderr
    assert differing == {}


@pytest.mark.parametrize(("line", "read"), [(line, read) for line, _, _, read in LINES])
def test_what_roost_makes_of_the_lines(folder, line, read):
    (folder / "r.txt").write_text(f"# first\n{line}\n")
    document = read_source(DefinitionSource(path=str(folder / "r.txt")), LocalFiles())
    if isinstance(read, list):
        assert document.errors == ()
        assert [item.text for item in document.result.definition.pip.requirements] == read
        return
    (error,) = document.errors
    assert read in f"{error.message} {error.hint}"
    assert (error.location.path, error.location.line) == (str(folder / "r.txt"), 2)
    assert 1 <= error.location.column <= len(line)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("  --no-indx", 3),
        ("--pre --no-indx", 7),
        (f"six  --hsh=sha256:{SHA}", 6),
        ("-e ./proj  --config-settings=a", 12),
        ("-i https://h/ -i https://h/", 15),
    ],
)
def test_the_column_is_that_of_the_option(folder, line, column):
    (folder / "r.txt").write_text(f"{line}\n")
    (error,) = read_source(DefinitionSource(path=str(folder / "r.txt")), LocalFiles()).errors
    assert error.location.column == column


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-i https://a https://b", "'https://b' has no effect"),
        ("-r more.txt extra.txt", "'extra.txt' has no effect"),
        ("-f nowhere", "nowhere, which --find-links names, does not exist"),
    ],
)
def test_what_pip_passes_over_is_a_warning(folder, line, words):
    (folder / "r.txt").write_text(f"{line}\n")
    document = read_source(DefinitionSource(path=str(folder / "r.txt")), LocalFiles())
    assert [words in problem.message for problem in document.problems] == [True]
