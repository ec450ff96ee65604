"""What follows from what was found, with what to do about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.doctor.findings import Check, sort_checks
from roost.daemon.doctor.verdicts import (
    DiskUse,
    SourceAnswer,
    judge_budget,
    judge_clock,
    judge_engine,
    judge_file_systems,
    judge_linger,
    judge_links,
    judge_pythons,
    judge_registry,
    judge_source,
    judge_space,
    judge_unit,
)
from roost.daemon.engines.docker.errors import EngineUnreachableError
from roost.daemon.oci.answers import No, Unknown, Yes
from roost.wire.plans import Reason

GB = 10**9
ANSWERS = st.builds(
    SourceAnswer, st.just("https://c.example.org/x"), st.sampled_from([None, 200, 302, 401, 404, 503]), st.just("")
).map(lambda answer: answer if answer.status else answer._replace(fault="can't be reached: Connection refused"))


@pytest.mark.parametrize(
    ("disk", "state", "part"),
    [
        (DiskUse("/r", 500 * GB, 100 * GB), "ok", "100.0 GB of 500.0 GB free"),
        (DiskUse("/r", 500 * GB, 2 * GB), "warning", "2.0 GB"),
        (DiskUse("/r", 500 * GB, 100 * GB, free_files=10), "warning", "inodes"),
        (DiskUse("/r", 500 * GB, 100 * GB, quota=GB), "warning", "1.0 GB left of your quota"),
        (DiskUse("/r", 500 * GB, 20 * GB), "warning", "cache.min_free_bytes"),
    ],
)
def test_space(disk: DiskUse, state: str, part: str):
    check = judge_space(disk, 25 * GB)
    assert (check.state, part in check.message) == (state, True)


def test_what_exceeds_a_limit_is_a_warning_and_no_limit_is_none():
    assert judge_budget(10, 5, 0, 0).state == judge_budget(1, 5, 9, 8).state == "warning"
    assert judge_budget(10, 0, 9, 0).state == "ok"


def test_folders_on_two_file_systems_and_noexec_are_named():
    assert "/r/prefixes" in judge_links(True, False, ["/r/prefixes"]).message
    assert judge_links(False, True).state == "warning"
    check = judge_file_systems({"/r": "ext4", "/r/prefixes": "tmpfs"}, ["/r/prefixes"])
    assert (check.state, "/r/prefixes: tmpfs" in check.message) == ("error", True)


@pytest.mark.parametrize(
    ("ahead", "files", "newest", "state", "part"),
    [
        (1.0, 0.0, -5.0, "ok", "agrees"),
        (None, 0.0, None, "ok", "no server"),
        (7200.0, 0.0, None, "error", "2 h ahead of"),
        (-86400.0 * 3, 0.0, None, "error", "3 days behind"),
        (0.0, 0.0, 4000.0, "warning", "67 min in the future"),
        (0.0, -60.0, None, "warning", "60 s behind"),
    ],
)
def test_the_clock(ahead: float | None, files: float, newest: float | None, state: str, part: str):
    check = judge_clock(ahead=ahead, files=files, newest=newest)
    assert (check.state, part in check.message) == (state, True)


def test_a_unit_without_linger_is_a_warning_and_everything_else_is_explained():
    def judge(**options: bool | None) -> Check:
        return judge_linger(**{"has_manager": True, "lingers": False, "unit_enabled": False, "user": "ann", **options})  # type: ignore[arg-type]

    assert judge(unit_enabled=True).state == "warning"
    assert "loginctl enable-linger ann" in judge(unit_enabled=True).hint
    assert judge(lingers=True, unit_enabled=True).state == "ok"
    assert "KillUserProcesses" in judge().message
    assert judge(has_manager=False).state == "ok"


def test_a_unit_that_starts_nothing_is_an_error():
    usual = {"path": "/u", "program": "/bin/roostd", "listens": "/s", "socket": "/s"}
    assert judge_unit(**usual, is_executable=True).state == "ok"
    assert judge_unit(**usual, is_executable=False).state == "error"
    assert judge_unit(**{**usual, "socket": "/t"}, is_executable=True).state == "warning"


def test_an_engine_that_somebody_named_must_answer():
    error = EngineUnreachableError("No engine answers at unix:///x: Permission denied")
    usual = {"url": "unix:///x", "rule": "default", "error": error, "facts": ""}
    assert judge_engine(**usual, is_configured=False, exists=False).state == "ok"
    assert judge_engine(**usual, is_configured=False, exists=True).state == "warning"
    check = judge_engine(**{**usual, "rule": "DOCKER_HOST: unix:///x"}, is_configured=True, exists=False)
    assert (check.state, "DOCKER_HOST" in check.message, "group `docker`" in check.hint) == ("error", True, True)


UNKNOWN = [Unknown(Reason(code=code, message="m")) for code in ("registry-tls", "registry-denied", "registry-broken")]


@pytest.mark.parametrize("kind", ["workspace", "catalogue", "mirror"])
def test_a_registry_must_allow_what_it_is_for(kind: str):
    no = No(Reason(code="registry-denied", message="denies"))
    assert judge_registry("r/t", kind, Yes(None), Yes(None)).state == "ok"
    assert judge_registry("r/t", kind, Yes(None), no).state == ("error" if kind == "workspace" else "ok")
    for answer in (no, *UNKNOWN):
        assert judge_registry("r/t", kind, answer, Yes(None)).state == "error"


def test_the_hint_about_a_registry_is_about_its_fault():
    tls, denied, broken = (judge_registry("h:1/t", "workspace", each, each).hint for each in UNKNOWN)
    assert "SSL_CERT_FILE" in tls
    assert "docker login h:1" in denied
    assert "roost registry test h:1/t" in broken
    read_only = judge_registry("h:1/t", "workspace", Yes(None), No())
    assert "roost registry remove h:1/t" in read_only.hint


@given(st.lists(ANSWERS, min_size=1, max_size=3), st.booleans(), st.sampled_from(["channel", "package-index"]))
def test_one_good_place_is_enough_and_every_fault_has_a_remedy(
    answers: list[SourceAnswer], configured: bool, name: str
):
    check = judge_source(
        name, "https://c.example.org/x", answers, is_configured=configured, credentials_hint="log in", absent="nothing"
    )
    assert (check.state == "ok") == any(answer.is_good for answer in answers)
    if check.state != "ok":
        assert check.hint
        assert configured or check.state == "warning"
        assert all(str(answer.status or "can't be reached") in check.message for answer in answers)


def test_broken_pythons_are_named_beside_the_good_ones():
    checks = judge_pythons(["3.12.1 at /a (PATH)"], [], ["/b/python3 (PATH)"])
    assert [(check.state, check.subject) for check in checks] == [("warning", "/b/python3"), ("ok", "")]
    assert judge_pythons([], ["3.14.0 at /c"], [])[0].state == "warning"


@given(st.lists(st.sampled_from(["ok", "warning", "error"])))
def test_faults_come_first_and_else_the_order_stays(states: list[str]):
    checks = [Check(name=str(number), state=state, message="") for number, state in enumerate(states)]  # type: ignore[arg-type]
    found = sort_checks(checks)
    assert [check.state for check in found] == sorted(states, key=["error", "warning", "ok"].index)
    for state in ("error", "warning", "ok"):
        numbers = [int(check.name) for check in found if check.state == state]
        assert numbers == sorted(numbers)
