"""Where the credentials of a request go, and what is redacted."""

from __future__ import annotations

from roost.daemon.engines.uv.secrets import Secrets


def test_secrets_are_taken_out_of_text_in_each_of_their_forms() -> None:
    secrets = Secrets({"https://h": "user:p%40ss", "https://t": "/t/tokentoken", "https://s/x": "?sig=abcdef"})
    text = "user:p%40ss p@ss https://t/t/tokentoken/simple https://s/x?sig=abcdef"
    redacted = secrets.redact(text)
    assert not any(word in redacted for word in ("p%40ss", "p@ss", "tokentoken", "abcdef"))


def test_tokens_and_signatures_come_and_go() -> None:
    secrets = Secrets({"https://t": "/t/abc", "https://s/x.whl": "?sig=1"})
    for bare, full in {
        "https://t/simple": "https://t/t/abc/simple",
        "https://s/x.whl#a": "https://s/x.whl?sig=1#a",
        "https://other/simple": "https://other/simple",
        "https://tt/simple": "https://tt/simple",
    }.items():
        assert secrets.substitute(bare) == full
        assert secrets.mask(full) == bare


def test_netrc_quotes_and_names_each_host_once() -> None:
    text = Secrets({"//h": "other:p", "https://h:8443": "some%20body:p%22q", "//own:1": "a:b"}).netrc()
    assert text == 'machine h login "some body" password "p\\"q"\nmachine own login a password b\n'


def test_credentials_of_a_host_count_where_a_url_has_none_of_its_own() -> None:
    secrets = Secrets({"//h": "a:b", "//h:2": "c:d", "https://h": "e:f"})
    urls = ("https://h/x", "http://h/x", "https://h:2/x", "https://h:3/x", "https://other/x")
    assert [secrets.find_login(url) for url in urls] == [("e", "f"), ("a", "b"), ("c", "d"), ("a", "b"), None]
