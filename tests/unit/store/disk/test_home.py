"""Where the home folder is, and what is said if there is none."""

from __future__ import annotations

import os
import pwd

import pytest

from roost.store.disk.home import HomeUnknownError, find_home, require_home


def no_entry(uid: int) -> pwd.struct_passwd:
    raise KeyError(uid)


def test_home_is_the_variable_then_the_account() -> None:
    assert find_home({"HOME": "/h"}) == "/h"
    for unset in ({}, {"HOME": ""}):
        assert find_home(unset) == pwd.getpwuid(os.getuid()).pw_dir


def test_without_an_entry_in_passwd_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert find_home({"HOME": "/h"}) == "/h"
    for unset in ({}, {"HOME": ""}):
        with pytest.raises(HomeUnknownError, match=f"uid {os.getuid()} has no home folder") as caught:
            find_home(unset)
        assert (caught.value.code, caught.value.exit_status) == ("home-unknown", 5)
        assert "ROOST_HOME" in caught.value.hint


@pytest.mark.parametrize("home", ["rel", "~", "./x", " "])
def test_a_relative_home_is_not_guessed_at(home: str) -> None:
    with pytest.raises(HomeUnknownError, match="not an absolute path"):
        find_home({"HOME": home})


def test_a_home_that_does_not_exist_is_not_created() -> None:
    assert require_home({"HOME": "/tmp"}) == "/tmp"
    with pytest.raises(HomeUnknownError, match="/nonexistent does not exist"):
        require_home({"HOME": "/nonexistent"})
