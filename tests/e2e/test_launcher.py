"""The launcher believes a plan only while all of it is true; every way in which one can go stale is noticed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from tests.support.launching import ASKED, LaunchRoot, settled_identity

from roost.daemon.definitions.stamps import is_stable, is_unchanged, stamp, stamp_in_prefix
from roost.daemon.launch.folder import LaunchFolder, find_tools
from roost.daemon.launch.plan import PlanChoices, plan_key
from roost.model.records import FileStamp, VariableChange
from roost.store.disk.lease_files import is_held, try_lock_exclusively
from roost.store.sources.discover import find_script

PRINT = ("python", "-c", "import sys; print(sys.prefix)")
SHELLS = [path for path in ("/bin/dash", "/bin/bash") if os.path.exists(path)]

pytestmark = pytest.mark.skipif(find_tools("/tmp") is None, reason="GNU stat and flock(1) are not on this machine")


@pytest.fixture(params=SHELLS)
def roots(request):
    made = LaunchRoot(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")), request.param)
    yield made
    made.remove()


@pytest.fixture(params=SHELLS)
def locking(request):
    """On a file system whose files can't be barred."""
    made = LaunchRoot(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")), request.param, locks=True)
    yield made
    made.remove()


@pytest.fixture
def root():
    made = LaunchRoot(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")))
    yield made
    made.remove()


def runs(root, *words, **kwargs):
    done = root.launch("exec", *(words or ("--", *PRINT)), **kwargs)
    assert done.stderr == ""
    return done.returncode == 0 and done.stdout.strip() == str(root.prefix)


def asks(root, *words, **kwargs):
    done = root.launch("exec", *(words or ("--", *PRINT)), **kwargs)
    return done.returncode == ASKED and done.stdout.startswith("asked <exec>")


def test_a_plan_starts_the_interpreter_of_the_prefix(roots):
    assert asks(roots)
    assert roots.leave(list(PRINT))
    assert runs(roots)


def test_the_command_holds_the_lease_and_its_use_is_recorded(roots):
    roots.leave(list(PRINT))
    os.utime(roots.lease, (1, 1))
    done = roots.launch("exec", "--", "python", "-c", "import os; print(os.readlink('/proc/self/fd/9'))")
    assert done.stdout.strip() == str(roots.lease)
    assert roots.lease.stat().st_mtime > 1


def test_a_running_command_keeps_others_from_the_lease(root, locking):
    for made in (root, locking):
        made.leave(list(PRINT))
        words = ["exec", "--", "python", "-c", "print('up', flush=True); input()"]
        with subprocess.Popen(
            [made.bin / "roost", *words], cwd=made.work, env=made.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout.readline() == b"up\n"
            assert is_held(str(made.lease))
            with open(made.lease) as lease, pytest.raises(BlockingIOError) if made is locking else nullcontext():
                fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            child.communicate(b"\n")
            assert not is_held(str(made.lease))


def test_an_exclusively_locked_lease_is_noticed(locking):
    locking.leave(list(PRINT))
    with open(locking.lease) as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        assert asks(locking)
    assert runs(locking)


def test_who_opens_a_barred_lease_waits_and_notices_the_removal(roots):
    roots.leave(list(PRINT))
    hold = try_lock_exclusively(str(roots.lease))
    assert hold.bar()
    command = [roots.bin / "roost", "exec", "--", *PRINT]
    with subprocess.Popen(command, cwd=roots.work, env=roots.environ, stdout=subprocess.PIPE, text=True) as child:
        while hold.is_whole():  # until it opens the lease: the kernel notes at once that the bar is to end
            time.sleep(0.001)
        assert child.poll() is None
        roots.lease.unlink()
        hold.close()
        assert child.communicate()[0].startswith("asked <exec>")


def test_a_removed_lease_is_noticed_and_not_made_again(root):
    root.leave(list(PRINT))
    root.lease.unlink()
    assert asks(root)
    assert not root.lease.exists()


def test_an_edited_file_is_noticed(root):
    root.leave(list(PRINT))
    root.file.write_text("six>1\n")
    assert asks(root)


def test_a_file_replaced_by_an_older_dated_one_of_the_same_size_is_noticed(root):
    root.leave(list(PRINT))
    before = root.file.stat()
    other = root.work / "other"
    other.write_text("sax\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(root.file)
    assert asks(root)


def test_an_edit_in_place_whose_mtime_was_put_back_is_noticed(root):
    root.leave(list(PRINT))
    before = root.file.stat()
    with open(root.file, "r+b") as file:
        file.write(b"sax\n")
    os.utime(root.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert root.file.stat().st_mtime_ns == before.st_mtime_ns
    assert asks(root)


def test_a_removed_file_is_noticed(root):
    root.leave(list(PRINT))
    root.file.unlink()
    assert asks(root)


def test_a_changed_nested_requirements_file_is_noticed(root):
    nested = root.work / "more" / "nested.txt"
    nested.parent.mkdir()
    nested.write_text("six\n")
    inputs = (settled_identity(root.file), settled_identity(nested))
    assert root.leave(list(PRINT), inputs=inputs)
    assert runs(root)
    nested.write_text("six==1.16.0\n")
    assert asks(root)


@pytest.mark.parametrize("name", ["roost.toml", "environment.yml"])
def test_a_new_file_of_higher_rank_is_noticed(root, name):
    root.leave(list(PRINT))
    (root.work / name).write_text("")
    assert asks(root)


def test_a_new_file_of_higher_rank_that_is_a_symlink_to_nothing_yet_is_noticed(root):
    root.leave(list(PRINT))
    (root.work / "environment.yml").symlink_to("nowhere")
    assert asks(root)


def test_a_new_file_in_a_nearer_folder_is_noticed(root):
    below = root.work / "below"
    below.mkdir()
    absent = (str(below / "requirements.txt"), str(root.work / "roost.toml"))
    assert root.leave(list(PRINT), cwd=str(below), absent=absent)
    assert runs(root, cwd=below)
    (below / "requirements.txt").write_text("six\n")
    assert asks(root, cwd=below)


def test_a_new_config_is_noticed_and_so_is_an_edited_one(root):
    root.leave(list(PRINT))
    config = root.base / ".config" / "roost" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("")
    assert asks(root)
    assert root.leave(list(PRINT))
    assert runs(root)
    config.write_text("# edited\n")
    assert asks(root)


@pytest.mark.parametrize("name", ["ROOST_CONFIG", "XDG_CONFIG_HOME", "HOME", "ROOST_SOCKET", "ROOST_HOME"])
def test_another_place_of_config_socket_or_root_is_noticed(root, name):
    root.leave(list(PRINT))
    assert asks(root, **{name: str(root.base / "elsewhere")})


def test_the_root_under_xdg_data_home_is_found(root):
    data = root.base / "data"
    data.mkdir()
    (data / "roost").symlink_to(root.root)
    root.leave(list(PRINT))
    assert runs(root, ROOST_HOME="", XDG_DATA_HOME=str(data))


def test_a_relative_root_is_the_clients_to_judge(root):
    root.leave(list(PRINT))
    assert asks(root, ROOST_HOME="../root")


def test_a_repointed_symlink_to_the_working_folder_is_noticed(root):
    link, other = root.base / "link", root.base / "other"
    link.symlink_to(root.work)
    other.mkdir()
    root.leave(list(PRINT))
    assert runs(root, cwd=link, PWD=str(link))
    link.unlink()
    link.symlink_to(other)
    assert asks(root, cwd=link, PWD=str(link))


def test_another_folder_moved_to_the_working_folders_name_is_noticed(root):
    root.leave(list(PRINT))
    root.work.rename(root.base / "old")
    shutil.copytree(root.base / "old", root.work, copy_function=shutil.copy2)
    assert asks(root)


def test_a_lying_pwd_is_not_believed_and_is_left_as_it_was(root):
    root.leave(list(PRINT))
    elsewhere = root.base / "elsewhere"
    elsewhere.mkdir()
    assert asks(root, cwd=elsewhere, PWD=str(root.work))


@pytest.mark.parametrize("old", [None, "/usr"])
def test_the_callers_pwd_and_oldpwd_reach_the_command(roots, old):
    link = roots.base / "link"
    link.symlink_to(roots.work)
    roots.leave(list(PRINT))
    show = "import os; print(os.environ.get('PWD'), os.environ.get('OLDPWD'))"
    environ = {"OLDPWD": old} if old else {}
    done = roots.launch("exec", "--", "python", "-c", show, cwd=link, PWD=str(link), **environ)
    assert done.stdout.split() == [str(link), str(old)]


def test_a_plan_starts_a_command_as_if_called_in_another_folder(roots):
    (roots.base / "link").symlink_to("work")
    command = ["sh", "-c", "pwd; echo $PWD $OLDPWD"]
    roots.leave(command)
    places = {"PWD": str(roots.base), "OLDPWD": "/usr", "CDPATH": f"{roots.root}:/"}
    for name in ("work", "./work", f"../{roots.base.name}/work", str(roots.work), "link", "work/../work"):
        for words in (["-C", name, "exec"], ["exec", "-C", name]):
            done = roots.launch(*words, "--", *command, cwd=roots.base, **places)
            assert (done.stdout.split(), done.stderr) == ([str(roots.work)] * 2 + ["/usr"], "")


@pytest.mark.parametrize("name", ["nowhere", "", "-", "file", "empty"])
def test_a_folder_without_a_plan_is_left_to_the_client_where_it_was_called(roots, name):
    """The client is found although the launcher's own path is relative to the former folder."""
    (roots.base / "file").write_text("")
    (roots.base / "empty").mkdir()
    call = ["bin/roost", "exec", "-C", name, "--", "python", "x.py"]
    done = subprocess.run(call, cwd=roots.base, env={**roots.environ, "MARK": "m"}, capture_output=True, text=True)
    assert done.stdout == f"asked <exec> <-C> <{name}> <--> <python> <x.py>\nm\n"


def test_a_replaced_interpreter_is_noticed(root):
    root.leave(list(PRINT))
    target = root.python.resolve()
    root.python.unlink()
    shutil.copy(target, root.python)
    assert asks(root)


def test_another_link_to_a_file_of_the_prefix_is_no_change_but_an_edit_is(root):
    """Prefixes share their files with the package cache: the next prefix to link one moves its ctime."""
    tool, cached = root.prefix / "bin" / "tool", root.base / "cached"
    cached.write_text("one")
    os.link(cached, tool)
    guard = stamp_in_prefix(str(tool))
    assert root.leave(list(PRINT), guards=(*root.guards(), guard))
    before = stamp(str(tool))
    settled_identity(tool)
    os.link(cached, root.base / "another")
    assert stamp(str(tool)) != before
    assert is_unchanged(guard)
    assert runs(root)
    tool.write_text("two")
    assert not is_unchanged(guard)
    assert asks(root)


def test_replaced_site_packages_are_noticed(root):
    root.leave(list(PRINT))
    packages = next(root.prefix.glob("lib/python*/site-packages"))
    packages.rename(packages.with_name("aside"))
    packages.mkdir()
    assert asks(root)


def test_a_new_generation_a_rollback_or_a_retired_prefix_wipes_all_plans(root):
    root.leave(list(PRINT))
    with root.folder.suspend():
        assert asks(root)
    assert asks(root)
    assert not (root.root / "launch").exists()
    assert list((root.root / "trash").iterdir()) == []


def test_a_plan_from_facts_older_than_a_move_is_not_written(root):
    token = root.folder.token()
    plan = root.plan(list(PRINT))
    with root.folder.suspend():
        assert not root.folder.write(plan, root.folder.token())
    assert not root.folder.write(plan, token)
    assert root.folder.write(plan, root.folder.token())


def test_a_plan_whose_input_changed_since_it_was_read_is_not_written(root):
    plan = root.plan(list(PRINT))
    root.file.write_text("sax\n")
    assert not root.folder.write(plan, root.folder.token())


def test_without_tools_no_plan_is_written(root):
    folder = LaunchFolder(str(root.root / "launch"), str(root.root / "trash"), None)
    assert not folder.write(root.plan(list(PRINT)), folder.token())
    assert not (root.root / "launch").exists()


def test_a_file_changed_in_the_very_tick_it_was_read_is_not_settled():
    def guard(changed):
        return FileStamp(path="/x", identity=f"1:2:3:1.000000000:{changed}")

    assert not is_stable(guard("100.500000001"), 100.54)
    assert is_stable(guard("100.500000001"), 100.6)
    assert not is_stable(guard("100.000000000"), 102.0)
    assert is_stable(guard("100.000000000"), 102.2)


@pytest.mark.parametrize(
    "name", ["with space", "it's", 'qu"ote', "dollar$HOME", "back`id`\\tick", "ünïcødeā", "*?[a]", "-x"]
)
def test_any_folder_name_is_quoted(roots, name):
    folder = roots.work / name
    folder.mkdir()
    file = folder / "requirements.txt"
    file.write_text("six\n")
    inputs = (settled_identity(file),)
    assert roots.leave(list(PRINT), cwd=str(folder), inputs=inputs, absent=(str(folder / "roost.toml"),))
    assert runs(roots, cwd=folder)
    (folder / "roost.toml").touch()
    assert asks(roots, cwd=folder)


def test_a_name_with_a_line_end_has_no_plan(root):
    folder = root.work / "a\nb"
    folder.mkdir()
    assert not root.leave(list(PRINT), cwd=str(folder))
    assert asks(root, cwd=folder)


def test_a_folder_named_like_a_key_is_not_taken_for_one(root):
    tricky = root.work / "@file" / "x"
    tricky.mkdir(parents=True)
    assert root.leave(list(PRINT), file="x/@exec")
    assert runs(root, "-f", "x/@exec", "--", *PRINT)
    assert asks(root, cwd=tricky)


def test_a_plan_is_for_the_choices_that_it_was_made_with(roots):
    choices = PlanChoices(python="3.12", extras=["gpu", "Docs_x"], groups=["test"], no_project=True, locked=True)
    words = ["--python", "3.12", "--extra", "gpu", "--extra", "Docs_x", "--group", "test", "--no-project", "--locked"]
    assert roots.leave(list(PRINT), key=plan_key(command=PRINT, choices=choices))
    assert runs(roots, *words, "--", *PRINT)
    assert runs(roots, *words[-2:], *words[6:8], *words[2:6], "--python", "3.9", "--python", "3.12", *PRINT)
    assert asks(roots, "--", *PRINT)
    assert asks(roots, *words[:-1], "--", *PRINT)
    assert asks(roots, *words, "--extra", "more", "--", *PRINT)
    assert asks(roots, *words[:2], *words[4:6], *words[2:4], *words[6:], "--", *PRINT), "in another order"
    assert roots.leave(list(PRINT), file="x", key=plan_key(command=PRINT, file="x", choices=PlanChoices(extras=["a"])))
    assert runs(roots, "--extra", "a", "-f", "x", "--", *PRINT)
    assert runs(roots, "-f", "x", "--extra", "a", *PRINT)
    assert asks(roots, "-f", "x", "-f", "x", "--extra", "a", *PRINT)
    assert roots.leave(list(PRINT))
    for odd in ("", "..", "a/b", "a b", "-x", "ü", "@exec", "a\nb"):
        assert asks(roots, "--extra", odd, "--", *PRINT), odd
        assert plan_key(command=PRINT, choices=PlanChoices(extras=[odd])) is None
    assert asks(roots, "--extra=a", "--", *PRINT)
    assert asks(roots, "--extra")
    assert plan_key(command=PRINT, choices=PlanChoices(groups=["g" * 201])) is None


def test_activation_and_then_variables_are_replayed(roots):
    changes = (
        VariableChange(name="PATH", action="prepend", value=str(roots.prefix / "bin")),
        VariableChange(name="A", action="set", value="it's `x` $HOME\nline"),
        VariableChange(name="B", action="unset"),
        VariableChange(name="C", action="append", value="tail", separator=";"),
        VariableChange(name="D", action="prepend", value="head"),
        VariableChange(name="E", action="set", value="activation"),
    )
    roots.leave(list(PRINT), changes=changes, variables={"E": "variable"})
    show = "import os; print([os.environ.get(n) for n in 'ABCDE'])"
    done = roots.launch("exec", "--", "python", "-c", show, B="b", C="c")
    assert done.stdout.strip() == str(["it's `x` $HOME\nline", None, "c;tail", "head", "variable"])


@pytest.mark.parametrize("name", ["has-dash", "1st", "", "_roost_here"])
def test_a_variable_that_sh_cannot_name_has_no_plan(root, name):
    assert not root.leave(list(PRINT), variables={name: "x"})


def test_variables_of_the_caller_named_like_the_launchers_do_no_harm(root):
    root.leave(list(PRINT))
    names = ("key", "here", "config", "root", "seen", "kind", "path", "value", "option", "python", "dashes")
    evil = {f"_roost_{name}": "/evil" for name in names}
    # dash exports what it assigns to them: their values would reach the command changed, so the client starts it
    assert asks(root, **evil) if os.path.realpath("/bin/sh").endswith("dash") else runs(root, **evil)


def test_a_command_of_the_prefix_comes_before_one_on_path(roots):
    mine = roots.prefix / "bin" / "tool"
    mine.write_text("#!/bin/sh\necho mine $1\n")
    mine.chmod(0o755)
    roots.leave(list(PRINT))
    assert roots.launch("exec", "--", "tool", "a b").stdout == "mine a b\n"
    assert roots.launch("exec", "--", "echo", "a  b").stdout == "a  b\n"


def test_python3_is_the_interpreter_of_the_prefix_too(root):
    root.leave(list(PRINT))
    assert runs(root, "--", "python3", *PRINT[1:])
    assert runs(root, "python", *PRINT[1:])


def test_a_script_has_a_plan_of_its_own_that_its_edit_ends(roots):
    script = roots.work / "it is.py"
    script.write_text("import sys; print(sys.prefix, *sys.argv[1:])\n")
    roots.leave(list(PRINT))
    assert asks(roots, "--", "it is.py")
    inputs = (settled_identity(roots.file), settled_identity(script))
    assert roots.leave(["it is.py"], inputs=inputs)
    for words in (["it is.py"], ["python", "it is.py"]):
        assert roots.launch("exec", "--", *words, "a b").stdout == f"{roots.prefix} a b\n"
    script.write_text("# /// script\n# dependencies = []\n# ///\n")
    assert asks(roots, "--", "it is.py")
    assert asks(roots, "--", "python", "it is.py")


def test_a_named_file_and_a_named_environment_have_plans_of_their_own(roots):
    other = roots.work / "other.txt"
    other.write_text("six\n")
    assert roots.leave(list(PRINT), file="other.txt", inputs=(settled_identity(other),), absent=())
    assert roots.leave(list(PRINT), environment="train:3", absent=())
    assert asks(roots)
    assert runs(roots, "-f", "other.txt", *PRINT)
    assert runs(roots, "-e", "train:3", "--", *PRINT)
    assert runs(roots, "-n", "train:3", "--", *PRINT)
    assert asks(roots, "-n", "train:4", "--", *PRINT)
    other.write_text("sax\n")
    assert asks(roots, "-f", "other.txt", "--", *PRINT)


def test_an_absolute_file_works_too(root):
    assert root.leave(list(PRINT), file=str(root.file))
    assert runs(root, "-f", str(root.file), "--", *PRINT)


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["exec"], ["exec"]),
        (["exec", "--"], ["exec", "--"]),
        (["exec", "-f"], ["exec", "-f"]),
        (["exec", "--json", "--", "a b"], ["exec", "--json", "--", "a b"]),
        (["exec", "-f", "../x", "a"], ["exec", "-f", "../x", "a"]),
        (["exec", "-f", "x", "--", "a", "", "b c"], ["exec", "-f", "x", "--", "a", "", "b c"]),
        (["exec", "-n", "a/../b", "--", "c"], ["exec", "-n", "a/../b", "--", "c"]),
        (["exec", "python", "-u", "x.py"], ["exec", "python", "-u", "x.py"]),
        (["exec", "--", "-x"], ["exec", "--", "-x"]),
        (["run", "exec", "--", "a"], ["run", "exec", "--", "a"]),
        ([], []),
    ],
)
def test_what_the_client_is_asked_is_what_was_typed(roots, words, passed):
    done = roots.launch(*words, MARK="kept")
    assert done.returncode == ASKED
    assert done.stdout.splitlines() == ["asked" + "".join(f" <{word}>" for word in passed or [""]), "kept"]


@pytest.mark.parametrize(
    ("command", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("nosuchcommand", 127), ("/etc/passwd", 126)]
)
def test_the_exit_status_is_the_commands_own(roots, command, status):
    roots.leave(list(PRINT))
    assert roots.launch("exec", "--", "sh", "-c", command).returncode == status


def test_commands_that_cannot_be_started_end_as_in_shells(roots):
    roots.leave(list(PRINT))
    done = roots.launch("exec", "--", "nosuchcommand")
    assert done.returncode == 127
    assert "roost: nosuchcommand: no such command" in done.stderr
    roots.leave(["/etc/passwd"], inputs=(settled_identity(roots.file), settled_identity("/etc/passwd")))
    assert roots.launch("exec", "--", "/etc/passwd").returncode == 126


def test_a_symlink_to_the_launcher_finds_the_client(roots):
    far = roots.base / "far"
    far.mkdir()
    (far / "hop").symlink_to("../bin/roost")
    (far / "roost").symlink_to("hop")
    done = subprocess.run([far / "roost", "plan"], env=roots.environ, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("asked <plan>")


def test_a_plan_that_goes_while_it_is_sourced_is_no_failure(root):
    """A wiped plan: the shell's `.` would end a shell that is not careful."""
    root.leave(list(PRINT))
    plan = next(path for path in (root.root / "launch").rglob("@exec"))
    text = (root.bin / "roost").read_text()
    (root.bin / "roost").write_text(text.replace('command . "$_roost_plan"', f'rm "{plan}"; command . "$_roost_plan"'))
    assert root.launch("exec", "--", *PRINT).returncode == ASKED


INSTALLERS = ["pip", "pip3.11", "/opt/uv", "uv", "conda", "micromamba"]
MODULES = [["-m", "pip"], ["-I", "-m", "pip"], ["-Im", "pip"], ["-mpip"], ["-m", "uv"], ["-m", "ensurepip"]]


@pytest.mark.parametrize("words", [*([name] for name in INSTALLERS), *(["python", *each] for each in MODULES)])
def test_installers_are_left_to_the_daemon(root, words):
    """A plan for other commands exists: it must not start one that the daemon would refuse."""
    assert root.leave(["tool"])
    assert root.launch("exec", "--", *words, "install", "six").returncode == ASKED


@pytest.mark.parametrize("words", [["-m", "pipx"], ["-m", "uvicorn"], ["-c", "import pip"], ["-m", "json.tool", "pip"]])
def test_modules_with_a_similar_name_start_at_once(root, words):
    assert root.leave(["python"])
    assert root.launch("exec", "--", "python", *words).returncode != ASKED


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (["python"], "@exec"),
        (["python3.11", "-m", "x"], "@exec"),
        (["python", "-I", "x.py"], None),
        (["/usr/bin/python3", "x.py"], None),
        (["./python", "x.py"], None),
        (["pythont", "x.py"], None),
        (["x/python.d/tool", "y.py"], "@script/x/python.d/tool"),
        (["python.py", "y.py"], "@script/python.py"),
        (["python", "dir/x.py"], "@script/dir/x.py"),
        (["x.py"], "@script/x.py"),
        (["/a/x"], "@script//a/x"),
        (["../x.py"], None),
        (["pytest", "x.py"], "@exec"),
        ([], None),
        (["-x"], None),
    ],
)
def test_keys(command, key):
    assert plan_key(command=command) == key


def test_commands_with_one_key_name_one_script():
    """Else a plan made for one script would start another."""
    words = ["python", "python3.11", "pythont", "./python", "/bin/python3", "x.py", "y.py", "./x.py", "tool", "./tool"]
    rests = [[], ["-c", "x.py"], ["-m", "x.py"], ["-u", "x.py"], ["-", "x.py"], *([word] for word in words)]
    scripts = {}
    for command in ([word, *rest] for word in words for rest in rests):
        key = plan_key(command=command)
        if key is not None:
            assert scripts.setdefault(key, find_script(command)) == find_script(command), command
    assert scripts["@exec"] is None
    assert scripts["@script/x.py"] == "x.py"


def test_identities_are_what_gnu_stat_prints(root):
    printed = subprocess.run(
        ["stat", "-L", "-c", "%d:%i:%s:%.9Y:%.9Z", root.python], capture_output=True, text=True, check=True
    )
    assert stamp(str(root.python)) == printed.stdout.strip()
    assert stamp(str(root.work)).count(":") == 1
    assert stamp(str(root.file / "below")) == "absent"
