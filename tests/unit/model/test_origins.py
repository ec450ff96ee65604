"""Origins of automatic names: forms of one remote, what a config says, and which names are tried."""

from __future__ import annotations

import os
import subprocess
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.model.names import check_name
from roost.model.origins import NameOrigin, choose_remote, list_candidates, make_key, normalise_remote, parse_remotes

SAME = [
    ("https://github.com/Org/Repo.git", "git@github.com:Org/Repo.git", "ssh://git@github.com:22/org/repo"),
    ("https://user:t0ken@github.com/org/repo/", "git://github.com/org/repo", "ssh://git@ssh.github.com:443/org/repo"),
    ("git@gitlab.example:2/a/b.git", "https://gitlab.example:8443/2/a/b", "ssh://gitlab.example:2222/2/a/b.git"),
    (
        "https://org@dev.azure.com/org/p/_git/r",
        "git@ssh.dev.azure.com:v3/org/p/r",
        "https://dev.azure.com/Org/p/_git/r",
    ),
    ("https://bb.example/scm/proj/repo.git", "ssh://git@bb.example:7999/proj/repo.git", "git@BB.example:/proj/repo"),
    ("/srv/git/a.git", "file:///srv/git/a", "../git/a.git/"),
    ("git@[::1]:a/b", "ssh://[::1]/a/b.git", "ssh://git@[::1]:2/a/b"),
    ("https://h.example/a%20b", "ssh://h.example/a b", "git@h.example:a b.git"),
]


@pytest.mark.parametrize("forms", SAME, ids=[forms[0] for forms in SAME])
def test_forms_of_one_remote_are_one_origin(forms):
    assert len({normalise_remote(form, "/srv/x") for form in forms}) == 1


def test_other_remotes_are_others():
    urls = ["git@h.example:a/b", "git@h.example:a/c", "git@i.example:a/b", "/a/b", "a/b", "https://h.example/A/b"]
    assert len({normalise_remote(url, "/x") for url in urls}) == len(urls)


@given(st.text(max_size=40), st.sampled_from(["", "https://", "ssh://", "file://", "git@h:"]))
def test_any_url_has_an_origin_without_credentials(text, before):
    assert isinstance(normalise_remote(before + text, "/x"), str)
    secret = normalise_remote(f"https://user:s3cr3t@h.example/{text}?t=1", "/x")
    assert "s3cr3t" not in secret.partition("/")[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cr3t@h.example/a",
        "https://s3cr3t@h.example/a",
        "https://user:x/s3cr3t@h.example/a",
        "https://h.example/a?private_token=s3cr3t#s3cr3t",
        "https://mirror.example/https://user:s3cr3t@h.example/a",
        "https://mirror.example/https://s3cr3t@h.example/a",
        "user:s3cr3t@h.example/a",
        "s3cr3t@h.example/a",
        "s3cr3t@h.example:a",
        "foreign::https://user:s3cr3t@h.example/a",
        "ext::sh -c 'curl -H s3cr3t h.example:%S'",
    ],
)
def test_no_form_of_a_remote_shows_a_secret(url):
    assert "s3cr3t" not in normalise_remote(url, "/x")
    assert normalise_remote(url, "/x") != normalise_remote(f"{url}b", "/x") or "?" in url


@given(st.text(max_size=200))
def test_any_text_may_be_a_config(text):
    parse_remotes(text)
    parse_remotes(f'[remote "a"]\nurl = {text}')


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=20)


@given(st.dictionaries(VALUES, VALUES, min_size=1, max_size=3))
def test_what_git_writes_is_read(remotes):
    def quote(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    parts = [f"[remote {quote(name)}]\n\tfetch = +x\n\turl = {quote(url)} ; c\n" for name, url in remotes.items()]
    assert parse_remotes("[core] bare = false\n" + "".join(parts)) == remotes


def test_a_config_of_git_itself_is_read(tmp_path):
    def git(*words):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})

    git("init", "-q")
    names = {"up": 'https://h.example/a"b#;\\c', 'o"d]d': "x y\t", "origin": "git@h.example:a"}
    for name, url in names.items():
        git("config", "--add", f"remote.{name}.url", url)
    git("config", "--add", "remote.up.url", "second")
    git("config", "alias.url", "no")
    text = (tmp_path / ".git" / "config").read_text()
    assert parse_remotes(text) == names
    assert choose_remote(parse_remotes(text)) == names["origin"]
    assert choose_remote({"up": "u", "down": "d"}) == "u"


def test_keys_name_the_path_in_the_repository_or_the_folder():
    assert make_key("git@h.example:a", "/w", "sub/x.py") == "git:h.example/a#sub/x.py"
    assert make_key("git@h.example:a", "/w", ".") == "git:h.example/a"
    assert make_key(None, "/w", "sub") == make_key("", "/w/sub", "") == "folder:/w/sub"


def test_candidates_have_the_folders_above_in_front_and_then_numbers():
    origin = NameOrigin(key="k", place="/home/me/src/train")
    first = ["train", "src-train", "me-src-train", "home-me-src-train", "train-2", "train-3"]
    assert list(islice(list_candidates(origin), 6)) == first
    script = NameOrigin(key="k", place="/a/My tool.v2.py", is_script=True)
    assert list(islice(list_candidates(script), 3)) == ["My-tool.v2", "a-My-tool.v2", "My-tool.v2-2"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=140), max_size=5))
def test_candidates_are_valid_names_and_never_end(parts):
    names = list(islice(list_candidates(NameOrigin(key="k", place="/" + "/".join(parts))), 40))
    assert [check_name(name) for name in names] == names
    assert len(set(names)) >= 30
