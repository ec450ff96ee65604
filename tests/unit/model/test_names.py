"""What may be a name, and what is wrong with what may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.model.names import (
    MAX_LENGTH,
    NameInvalidError,
    VersionReference,
    check_name,
    check_new_label,
    check_new_name,
    derive_name,
    find_counterpart,
    parse_reference,
)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "empty"),
        (".", "begins with '.'"),
        ("..", "begins with '.'"),
        ("../x", "contains '/'"),
        ("a/b", "contains '/'"),
        ("a\\b", "REVERSE SOLIDUS"),
        ("-x", "begins with '-'"),
        ("a b", "SPACE"),
        ("a\0b", "U+0000"),
        ("tr\N{CYRILLIC SMALL LETTER A}in", "CYRILLIC SMALL LETTER A"),
        ("tra\N{ZERO WIDTH SPACE}in", "ZERO WIDTH SPACE"),
        ("\N{FULLWIDTH LATIN SMALL LETTER T}rain", "FULLWIDTH LATIN SMALL LETTER T"),
        ("x" * 10_000, "10,000 characters"),
        ("a:b", "COLON"),
        ("a@b", "COMMERCIAL AT"),
    ],
)
def test_what_is_no_name_is_said(name: str, fault: str) -> None:
    with pytest.raises(NameInvalidError) as caught:
        check_name(name)
    assert fault in caught.value.message
    assert len(caught.value.message) < 300
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("name", ["Roost-Minimal", "roost-x", "ROOST-"])
def test_curated_names_are_reserved(name: str) -> None:
    check_name(name)
    with pytest.raises(NameInvalidError, match="curated"):
        check_new_name(name)


def test_references() -> None:
    assert parse_reference("train") == VersionReference(name="train")
    assert parse_reference("train:12") == VersionReference(name="train", version=12)
    assert parse_reference("train@prod") == VersionReference(name="train", label="prod")
    assert [str(parse_reference(text)) for text in ("a", "a:1", "a@b")] == ["a", "a:1", "a@b"]
    for text in ("train:", "train:0", "train:-1", "train:x", "train@", "train@a:1", ":1", "@x", "train:" + "9" * 40):
        with pytest.raises(NameInvalidError):
            parse_reference(text)


def test_latest_is_no_label_of_people() -> None:
    with pytest.raises(NameInvalidError, match="reserved by roost"):
        check_new_label("Latest")


@given(st.text(max_size=300))
def test_whatever_a_folder_is_called_a_name_comes_of_it(text: str) -> None:
    name = derive_name(text)
    assert check_new_name(name) == name
    assert derive_name(name) == name
    assert len(name) <= MAX_LENGTH


def test_names_stay_as_near_as_they_can() -> None:
    assert derive_name("train") == "train"
    assert derive_name("My Project (2)") == "My-Project-2"
    assert derive_name("Größe") == "Groe"
    assert derive_name("Roost-Minimal") == "Minimal"
    assert derive_name(None) == derive_name("///") == "environment"


CURATED = ("Roost-Minimal", "Roost-Scikit-Learn", "Roost-PyTorch", "Roost-PyTorch-Lightning", "train")


@pytest.mark.parametrize(
    ("name", "counterpart"),
    [
        ("AzureML-Minimal", "Roost-Minimal"),
        ("AzureML-sklearn-1.5-ubuntu22.04-py310-cpu", "Roost-Scikit-Learn"),
        ("AzureML-Scikit-learn-0.20.3", "Roost-Scikit-Learn"),
        ("azureml-pytorch-1.6-GPU", "Roost-PyTorch"),
        ("AzureML-PyTorch-Lightning-1", "Roost-PyTorch-Lightning"),
        ("AzureML-Tutorial", None),
        ("AzureML-", None),
        ("AzureML-train", None),
        ("Minimal", None),
    ],
)
def test_azures_curated_names_have_a_counterpart_of_the_same_subject(name: str, counterpart: str | None) -> None:
    assert find_counterpart(name, CURATED) == counterpart
