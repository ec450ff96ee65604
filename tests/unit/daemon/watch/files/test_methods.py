"""How files are seen, and how often they are polled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.watch.files.methods import (
    INOTIFY,
    MAX_POLL_SECONDS,
    MIN_POLL_SECONDS,
    choose_poll_interval,
    choose_worst,
    poll_exhausted,
    poll_remote,
    report_silence,
)

costs = st.floats(0, 1000)


@given(costs, costs, costs, costs)
def test_polling_takes_a_bounded_share_and_happens_at_least_once_a_minute(cpu, waited, more_cpu, more_waited):
    interval = choose_poll_interval(cpu, waited)
    assert MIN_POLL_SECONDS <= interval <= MAX_POLL_SECONDS
    assert interval == MAX_POLL_SECONDS or cpu / interval <= 0.0031
    assert choose_poll_interval(cpu + more_cpu, waited + more_waited) >= interval


def test_of_several_methods_the_worst_one_is_told():
    nfs, silent = poll_remote("nfs4", "/net"), report_silence("/net", 12.3)
    assert choose_worst([]) == INOTIFY
    assert choose_worst([INOTIFY, nfs]) == nfs
    assert choose_worst([nfs, silent, INOTIFY]) == silent
    assert silent.reason == "/net has not answered for 12 seconds"


def test_an_exhausted_limit_names_what_to_do():
    reason = poll_exhausted("fs.inotify.max_user_watches", 8192).reason
    assert reason == (
        "the limit fs.inotify.max_user_watches (now 8192) is used up; raise it with "
        "`sudo sysctl fs.inotify.max_user_watches=524288`"
    )
    assert "max_user_watches=4000000`" in poll_exhausted("fs.inotify.max_user_watches", 1000000).reason
    assert "now" not in poll_exhausted("fs.inotify.max_user_instances", None).reason
