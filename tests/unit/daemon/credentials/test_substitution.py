"""Variables in URLs: filled in for the engines, never in what is kept."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.credentials.substitution import (
    VariableMissingError,
    find_unset_index_variables,
    insert_into_secret,
    insert_values,
    mask,
    require_variables,
    substitute,
    substitute_credentials,
    without_index_variables,
)
from roost.model.definition import Conda, Definition, Pip, PipItem
from roost.model.locks.lock import CondaPackage, CondaPython, Jar, Lock, RPackage, Wheel, WheelSource

TOKEN = "t0ken-of-somebody"


def lock(*urls: str) -> Lock:
    conda = [
        CondaPackage(name="a", version="1", build="0", subdir="noarch", file_name="a", url=url, sha256="0" * 64)
        for url in urls
    ]
    wheels = tuple(Wheel(name="b", version="1", url=url) for url in urls)
    jars = tuple(Jar(group="g", name="j", version="1", file_name="j.jar", url=url, sha256="0" * 64) for url in urls)
    r = tuple(RPackage(name="r", version="1", file_name="r.tar.gz", url=url, sha256="0" * 64) for url in urls)
    return Lock(platform="linux-64", provider=CondaPython(), conda=tuple(conda), wheels=wheels, jars=jars, r=r)


@given(st.sampled_from(["https://h/{}/x.whl", "https://h/x?sig={}", "https://h/plain"]))
def test_what_is_kept_names_the_variable_and_leads_back(pattern: str) -> None:
    made = lock(pattern.format(TOKEN))
    kept = mask(made, {"TOKEN": TOKEN})
    assert TOKEN not in msgspec.json.encode(kept).decode()
    assert substitute(kept, {"TOKEN": TOKEN}) == made


def test_the_source_of_a_built_wheel_is_masked_and_asks_for_no_variable() -> None:
    source = WheelSource(kind="sdist", url=f"https://h/{TOKEN}/b.tar.gz", sha256="0" * 64)
    made = msgspec.structs.replace(lock(), wheels=(Wheel(name="b", version="1", sha256="1" * 64, source=source),))
    kept = mask(made, {"TOKEN": TOKEN})
    assert TOKEN not in msgspec.json.encode(kept).decode()
    assert substitute(kept, {}) == kept


def test_a_short_value_is_left_where_it_stands() -> None:
    made = lock("https://host/1/a-1.whl")
    assert mask(made, {"X": "1"}) == made


def test_all_missing_names_are_told_at_once() -> None:
    definition = Definition(
        conda=Conda(channels=("https://h/${ONE}/c",)),
        pip=Pip(requirements=(PipItem(kind="option", text="--index-url https://h/${TWO}/simple"),)),
    )
    with pytest.raises(VariableMissingError) as missing:
        require_variables(definition, {})
    assert missing.value.fields["variables"] == ["ONE", "TWO"]
    require_variables(definition, {"ONE": "1", "TWO": ""})


def test_a_kept_lock_asks_for_the_variable_again() -> None:
    with pytest.raises(VariableMissingError) as missing:
        substitute(lock("https://h/${TOKEN}/a"), {})
    assert missing.value.fields["variables"] == ["TOKEN"]


def test_a_variable_in_credentials_is_filled_in_or_asked_for() -> None:
    written = {"https://h": "me:${TOKEN}"}
    assert substitute_credentials(written, {"TOKEN": TOKEN}) == {"https://h": f"me:{TOKEN}"}
    with pytest.raises(VariableMissingError) as missing:
        substitute_credentials(written, {})
    assert missing.value.fields["variables"] == ["TOKEN"]


INDEX = {"uv-index+https://own.example": "${UV_INDEX_OWN_USERNAME}:${UV_INDEX_OWN_PASSWORD}"}
OWN = {"UV_INDEX_OWN_USERNAME": "me@home", "UV_INDEX_OWN_PASSWORD": "a:b/c"}


def test_variables_of_an_index_may_be_set_and_need_not_be() -> None:
    assert substitute_credentials(INDEX, {}) == {}
    assert find_unset_index_variables(INDEX, {}) == ("UV_INDEX_OWN_PASSWORD", "UV_INDEX_OWN_USERNAME")
    assert substitute_credentials(INDEX, OWN) == {"https://own.example": "me%40home:a%3Ab%2Fc"}
    password = {"UV_INDEX_OWN_PASSWORD": "word"}
    assert substitute_credentials(INDEX, password) == {"https://own.example": ":word"}
    assert find_unset_index_variables(INDEX, password) == ("UV_INDEX_OWN_USERNAME",)
    written = {**INDEX, "https://own.example": "you:word"}
    assert substitute_credentials(written, OWN)["https://own.example"] == "you:word"


def test_variables_of_an_index_are_not_looked_for_in_urls() -> None:
    """A user called ``simple`` would be masked in every URL of an index."""
    assert without_index_variables(Definition(), INDEX, {**OWN, "OTHER": "x"}) == {"OTHER": "x"}
    line = PipItem(kind="option", text="--index-url https://${UV_INDEX_OWN_USERNAME}@h/simple")
    named = Definition(pip=Pip(requirements=(line,)))
    assert set(without_index_variables(named, INDEX, OWN)) == {"UV_INDEX_OWN_USERNAME"}


@pytest.mark.parametrize(
    ("text", "inserted"),
    [
        ("https://u:${P}@h/simple", "https://u:a%40b%2Fc%25d%23:e%3F@h/simple"),
        ("https://${P}@h", "https://a%40b%2Fc%25d%23:e%3F@h"),
        ("https://${P}:${Q}@h", "https://a%40b%2Fc%25d%23%3Ae%3F:p%40ss@h"),
        ("x @ git+https://u:${P}@h/r.git@main ; python_version>'3'", None),
        ("https://h/t/${P}/main", "https://h/t/a%40b%2Fc%25d%23:e%3F/main"),
        ("--index-url https://${HOST}/simple", "--index-url https://h.example:8080/simple"),
        ("https://u:${Q}@${HOST}/x?sig=${S}", "https://u:p%40ss@h.example:8080/x?sig=a%2Fb+c=="),
        ("name==1 ${P}", "name==1 a@b/c%d#:e?"),
        ("https://h/${NONE}", "https://h/${NONE}"),
    ],
)
def test_a_value_is_encoded_as_far_as_its_place_needs(text: str, inserted: str | None) -> None:
    values = {"P": "a@b/c%d#:e?", "Q": "p%40ss", "HOST": "h.example:8080", "S": "a%2Fb+c=="}
    found = insert_values(text, values)
    assert found == (inserted if inserted is not None else text.replace("${P}", "a%40b%2Fc%25d%23:e%3F"))
    split = urlsplit(re.search(r"https://\S+", found + " https://h").group())
    assert split.hostname in ("h", "h.example", "h.example")


@pytest.mark.parametrize("secret", ["user:${P}", "/t/${P}", "${P}"])
def test_a_secret_of_a_url_is_encoded_as_in_the_url(secret: str) -> None:
    assert insert_into_secret(secret, {"P": "a/b@c"}) == secret.replace("${P}", "a%2Fb%40c")
