"""What git said, translated: texts of git 2.39 to 2.47, within uv's of 0.13 or alone."""

from __future__ import annotations

import pytest

from roost.daemon.engines.uv import errors
from roost.daemon.engines.uv.translation import translate_failure, translate_git_failure

IN_UV = """   Updating {url} (HEAD)
error: Failed to download and build `greet @ git+{url}`
  cause: Git operation failed
  cause: failed to clone into: /c/git-v2/db/9ead0834eb326f7f
  cause: process didn't exit successfully: `/usr/bin/git fetch --force '{url}' '+HEAD:refs/HEAD'` (exit status: 128)
         --- stderr
         {said}
"""
SAID = [
    ("fatal: unable to access 'https://h/x/': Could not resolve host: h", errors.GitUnreachableError),
    ("fatal: unable to access 'https://h/x/': Failed to connect to h port 9 after 0 ms", errors.GitUnreachableError),
    (
        "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote",
        errors.GitUnreachableError,
    ),
    ("ssh: Could not resolve hostname h: Name or service not known", errors.GitUnreachableError),
    ("fatal: unable to access 'https://h/x/': SSL certificate problem: expired", errors.GitUnreachableError),
    ("fatal: couldn't find remote ref refs/tags/nope", errors.GitFailedError),
    ("fatal: remote error: upload-pack: not our ref 0123456789", errors.GitFailedError),
    ("fatal: repository 'https://h/x/' not found", errors.GitFailedError),
    (
        "fatal: '/x' does not appear to be a git repository\nmake sure you have the correct access rights",
        errors.GitFailedError,
    ),
    ("fatal: could not read Username for 'https://h': terminal prompts disabled", errors.GitDeniedError),
    ("remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://h/x/'", errors.GitDeniedError),
    ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", errors.GitDeniedError),
    ("Host key verification failed.\nfatal: Could not read from remote repository.", errors.GitDeniedError),
    ("fatal: something new", errors.GitFailedError),
]


@pytest.mark.parametrize(("said", "expected"), SAID)
@pytest.mark.parametrize("url", ["https://h/x.git@v1", "ssh://git@h/x.git"])
def test_each_failure_of_git_has_its_error_and_its_lines(said: str, expected: type[Exception], url: str) -> None:
    for error in (
        translate_failure(IN_UV.format(url=url, said=said.replace("\n", "\n         ")), 1, "locking"),
        translate_git_failure(said, url=f"git+{url}"),
    ):
        assert type(error) is expected
        assert error.message.split("\n")[1:] == said.split("\n")
        assert url in error.message.split("\n")[0]
        assert error.is_logged
        assert error.fields["url"] == url


def test_no_git_at_all() -> None:
    stderr = "error: Failed to download and build `greet @ git+file:///x`\n  cause: Git operation failed\n  cause: Git \
executable not found. Ensure that Git is installed and available."
    error = translate_failure(stderr, 1, "locking")
    assert isinstance(error, errors.GitMissingError)
    assert error.message == "git can't fetch greet from file:///x: there is no git on this machine"
    assert error.fields == {"url": "file:///x", "package": "greet"}
