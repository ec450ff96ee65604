"""What the command line makes of words, before anything is asked of the daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest

from roost.client.cli import main
from roost.client.cli.context import Context
from roost.client.cli.execution import locks
from roost.client.cli.parser import MODULES, build_parser, commands_of, parse, split_command
from roost.client.cli.selector import build_selector
from roost.client.errors import ClientError
from roost.client.launch.folders import enter_leading_folders
from roost.wire.plans import EnvironmentSelector


@pytest.mark.parametrize(
    ("words", "own", "command"),
    [
        ("exec python -V", "exec", "python -V"),
        ("exec -- python -V", "exec", "python -V"),
        ("run -f x.yml train.py -f y --json", "run -f x.yml", "train.py -f y --json"),
        ("run --var A=b -q -- -x", "run --var A=b -q", "-x"),
        ("run --experiment=x -t local a -- b", "run --experiment=x -t local", "a -- b"),
        ("exec -f", "exec -f", ""),
    ],
)
def test_the_command_begins_where_roosts_options_end(words, own, command):
    assert split_command(build_parser(), words.split()) == (own.split(), command.split())


def leaves(parser, path=()):
    below = commands_of(parser)
    if not below:
        yield path, parser
    for name, each in below.items():
        yield from leaves(each, (*path, name))


LEAVES = [(" ".join(path), parser) for path, parser in leaves(build_parser())]


@pytest.mark.parametrize(("path", "parser"), LEAVES, ids=[path for path, _ in LEAVES])
def test_every_command_has_json_and_an_example_of_itself(path, parser):
    text = parser.format_help()
    assert "--json" in text
    example = text.rpartition("Example:")[2].strip()
    assert f"roost {path}" in example


WANTED = ["run", "exec", "shell", "plan", "build", "digest", "lock"]


@pytest.mark.parametrize("command", WANTED)
def test_what_is_the_same_everywhere_and_fits_the_wire(command):
    said = ["-f", "x.yml", "--generation", "3", "--lock", "sha256:1", "--ignore-image", "-t", "local"]
    options = parse([command, *said, *(["--", "c"] if command in ("run", "exec") else [])])
    asked = build_selector(Context(options), ["c"])
    struct = msgspec.convert(asked, EnvironmentSelector)
    assert struct == EnvironmentSelector(
        cwd=os.getcwd(), file="x.yml", generation=3, lock="sha256:1", ignore_image=True, command=["c"]
    )
    assert set(asked) <= set(EnvironmentSelector.__struct_fields__)


@pytest.mark.parametrize("command", WANTED)
@pytest.mark.parametrize("pair", [("-e", "-f"), ("-n", "--image"), ("-f", "--image")])
def test_at_most_one_of_the_three(command, pair, capsys):
    status = main.run([command, pair[0], "a", pair[1], "b"])
    assert status == (125 if command in ("run", "exec", "shell") else 2)
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("plan -x", "roost plan"),
        ("run -x", "roost run"),
        ("runs show a b", "roost runs show"),
        ("cache bundle import a b", "roost cache bundle import"),
        ("-x plan", "roost"),
    ],
)
def test_what_is_too_much_is_named_with_the_help_that_says_more(words, where, capsys):
    assert main.run(words.split()) in (2, 125)
    said = capsys.readouterr().err
    assert "Unknown option or argument: " in said
    assert f"See `{where} --help`." in said
    assert "Did you mean" not in said


@pytest.mark.parametrize(("word", "example"), [("run", "roost run train.py"), ("exec", "roost exec -- python -V")])
def test_a_missing_command_is_asked_for_with_an_example_of_the_same_command(word, example, capsys):
    assert main.run([word]) == 125
    assert f"`{example}`" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["image", "target", "registry", "deploy", "watch", "lsp", "kernel"])
def test_what_is_not_built_yet_does_not_pretend(name, capsys):
    assert main.run([name, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "usage"


def test_help_ends_well_and_nothing_at_all_does_not(capsys):
    assert main.run(["run", "--help"]) == 0
    assert main.run([]) == 2
    assert main.run(["--version"]) == 0
    assert "roost 0." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (None, "conda-lock"),
        ("conda-lock.yml", "conda-lock"),
        ("a/b.YAML", "conda-lock"),
        ("pixi.lock", "pixi"),
        ("locked.txt", "explicit"),
        ("/dev/null", "conda-lock"),
    ],
)
def test_the_name_of_a_lock_tells_its_format(output: str | None, found: str) -> None:
    assert locks._lock_format(None, output) == found
    assert locks._lock_format("pixi", output) == "pixi"


@pytest.mark.parametrize("output", ["x.bogus", "lock", "uv.lock", "conda-lock.yml.bak"])
def test_a_name_that_tells_no_format_is_refused(output: str) -> None:
    with pytest.raises(ClientError, match="does not show the format"):
        locks._lock_format(None, output)
    assert locks._lock_format("explicit", output) == "explicit"


def test_a_part_of_the_command_line_is_that_part_of_the_whole() -> None:
    whole = commands_of(build_parser())
    assert list(whole) == [command for commands in MODULES.values() for command in commands]
    for command, parser in whole.items():
        part = commands_of(build_parser(command))
        assert part[command].format_help() == parser.format_help()
        assert len(part) < len(whole)
    assert list(commands_of(build_parser("nosuch"))) == list(whole)


def test_a_command_imports_little() -> None:
    """What a command costs at its start is mostly what it imports."""
    script = (
        "import sys; before = set(sys.modules); from roost.client.cli.parser import parse; parse(['env', 'list']); "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"http.client", "ssl", "email", "subprocess", "tempfile", "asyncio", "msgspec"}


def test_an_empty_path_is_not_the_working_folder(capsys):
    assert main.run(["watch", "add", ""]) == 2
    assert "A PATH is empty." in capsys.readouterr().err


@pytest.mark.parametrize("words", ["-C a -C b plan -C c", "-C a plan -C b -C c", "plan -Ca -C b -C c"])
def test_folders_before_and_after_the_command_are_entered_in_this_order(words):
    assert parse(words.split()).folders == ["a", "b", "c"]


def test_a_folder_of_the_commands_own_is_left_to_it():
    options = parse(["-C", "a", "run", "-C", "b", "make", "-C", "c"])
    assert (options.folders, options.command) == (["a", "b"], ["make", "-C", "c"])


@pytest.mark.parametrize(("words", "status"), [(["plan", "-C", "no"], 2), (["-C", "no", "exec", "true"], 125)])
def test_a_folder_that_cannot_be_entered_is_named(words, status, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.run(words) == status
    assert "-C no: No such file or directory" in capsys.readouterr().err


def test_leading_folders_are_entered_before_a_hot_path(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    assert enter_leading_folders(["-C", "a", "run", "-C", "b", "-C", "no", "x"]) == ["run", "-C", "no", "x"]
    assert os.getcwd() == os.environ["PWD"] == str(tmp_path / "a" / "b")
