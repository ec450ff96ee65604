"""The scripts in real shells, on a terminal."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.completing import SHELLS, CompletingShell

from roost.client.cli.completion.command import _FORMATTERS
from roost.client.cli.completion.tree import CommandRow, list_rows
from roost.client.cli.parser import build_parser

HOSTILE = "evil\x1b]0;x\x07\nevil-$(touch${IFS}pwned)\nevil;touch\n-evil\nodd\tx\x1b[2J\nend 5\n"
FILES = {
    "environments": "train\t@prod @latest :12 :11\nserve\t@latest :3 :x;y\nend 2\n",
    "runs": "r20261123-073107-837df4\tcompleted  python train.py\nr20261122-073107-000000\nend 2\n",
    "builds": "b20261123-1\tfailed\nb20261123-",  # cut
    "targets": "auto\ndocker\nlocal\n",  # cut at the end of a line
    "experiments": HOSTILE,
    "labels": "prod\nend 2\n",  # a line was lost
    "tags": "lr=0.1\nbest\nend 2\n",
}
CASES = {
    "roost runs sho": "<runs><show>",
    "roost -C below env expo": "<-C><below><env><export>",
    "roost cache bundle exp": "<cache><bundle><export>",
    "roost runs show r20261123": "<runs><show><r20261123-073107-837df4>",
    "roost runs show la": "<runs><show><latest>",
    "roost runs list --tag lr=": "<runs><list><--tag><lr=0.1>",
    "roost help roost": "<help><roost.toml>",
    "roost builds show b": "<builds><show><b>",
    "roost build -t loc": "<build><-t><loc>",
    "roost env label train pro": "<env><label><train><pro>",
    "roost run --experiment ev": "<run><--experiment><ev>",
    "roost build -e tra": "<build><-e><train>",
    "roost build -e train@pr": "<build><-e><train@prod>",
    "roost build -e serve:": "<build><-e><serve:3>",
    "roost env show serve:": "<env><show><serve:3>",
    "roost run -n train@la": "<run><-n><train@latest>",
    "roost env export train --format requ": "<env><export><train><--format><requirements>",
    "roost env export --format=requ": "<env><export><--format=requirements>",
    "roost build --no-pro": "<build><--no-project>",
    "roost run -f my": "<run><-f><my file.yml>",
    "roost -C below build -f other": "<-C><below><build><-f><other.yml>",
    "roost -C ~/below build -f other": "<-C><HOME/below><build><-f><other.yml>",
    "roost run -e train python my": "<run><-e><train><python><my file.yml>",
    "roost completion fi": "<completion><fish>",
}
"""What is typed before Tab, and the words that the command gets."""


@pytest.fixture(scope="module")
def rows() -> list[CommandRow]:
    parser = build_parser()
    if "-C" not in parser._option_string_actions:
        parser.add_argument("-C", metavar="DIR")
    return list(list_rows(parser))


@pytest.fixture(scope="module", params=SHELLS)
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, rows: list[CommandRow]
) -> Iterator[CompletingShell]:
    missing = [name for name in ("strace", request.param) if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("shell")
    files = folder / "root" / "completions" / "1"
    files.mkdir(parents=True)
    for name, text in FILES.items():
        (files / name).write_text(text)
    (folder / "my file.yml").touch()
    (folder / "below").mkdir()
    (folder / "below" / "other.yml").touch()
    script = folder / "script"
    script.write_text(_FORMATTERS[request.param](rows) + "\n")
    made = CompletingShell(request.param, script, folder, str(folder / "root"))
    yield made
    made.end()


def test_values_are_completed_and_no_process_is_started(shell: CompletingShell) -> None:
    home = str(shell.trace.parent)
    completed = [line.replace(f"<{home}/", "<HOME/") for line in shell.complete(list(CASES))]
    assert dict(zip(CASES, completed, strict=True)) == CASES
    assert shell.list_processes() == []
    assert not (shell.trace.parent / "pwned").exists()


@pytest.mark.parametrize("options", ["set -euf", "set -o posix; set -u", "shopt -s failglob nocasematch", "IFS=rs@:/"])
def test_options_of_the_callers_bash_change_nothing_and_stay(
    options: str, rows: list[CommandRow], tmp_path: Path
) -> None:
    (tmp_path / "script").write_text(_FORMATTERS["bash"](rows))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "other.yml").touch()
    ask = """
complete() {
    printf -v COMP_LINE '%s ' "$@"
    COMP_LINE=${COMP_LINE% } COMP_POINT=1000 COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _roost_complete
}
state() { set -o; shopt || :; compgen -v _roost || :; }
complete roost runs show r  # of a root that does not exist
before=$(state)
complete roost -C below build -f oth
printf '<%s>' "${COMPREPLY[@]}"
complete roost -C below build -f nosuch
[[ $(state) == "$before" ]] && echo ' nothing has changed'
"""
    script = f"{options}\ncomplete() {{ :; }}\nROOST_HOME=/nonexistent\n. ./script\n{ask}"
    done = subprocess.run(["bash", "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("<other.yml> nothing has changed\n", "")
