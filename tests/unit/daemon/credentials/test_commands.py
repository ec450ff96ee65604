"""Commands and variables of runs are recorded without credentials, and what is no credential stays."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.credentials.commands import (
    describe_hidden,
    is_secret_name,
    record_command,
    restore_command,
    split_variables,
)

SECRET = "s3cr3t-of-somebody"
HIDDEN = [
    f"train.py --token={SECRET} --epochs 3",
    f"train.py --token {SECRET}",
    f"train.py --hf-token {SECRET}",
    f"train.py --api_key={SECRET}",
    f"train.py wandb.api_key={SECRET}",
    f"train.py +trainer.logger.apiKey={SECRET}",
    f"train.py -password {SECRET}",
    f"env HF_TOKEN={SECRET} python x.py",
    f"pip install -i https://me:{SECRET}@h.example/simple x",
    f"git clone https://{SECRET}@h.example/r.git",
    f"curl -u me:{SECRET} https://h.example",
    f"curl -H 'Authorization: Bearer {SECRET}' https://h.example",
    f"curl -H 'X-Api-Key: {SECRET}' https://h.example",
    f"curl https://h.example/x?sig={SECRET}",
    f"sshpass -p {SECRET} ssh h",
    f"mysql -p{SECRET} db",
    f"sh -c 'HF_TOKEN={SECRET} python x.py --password {SECRET}'",
    f"sh -c 'cd x && curl --token={SECRET} https://u:{SECRET}@h.example'",
    f"python -c 'login(token=\"{SECRET}\")'",
    f'python x.py \'{{"password": "{SECRET}"}}\'',
    "huggingface-cli login hf_abcdefghijklmnopqrstuvwxyz",
    "gh auth ghp_abcdefghijklmnopqrstuvwxyz0123456789",
]
PLAIN = [
    "train.py --max-tokens 512 --num_tokens=3 --pad-token '<pad>' --eos-token=x --tokenizer gpt2 --token-file x",
    "train.py --username somebody --key value --keys a,b --pass 3 --passes=4 --secretary x",
    "python -c 'model(token=tok, password=os.environ[\"P\"])'",
    "sh -c 'login --token $HF_TOKEN --password=\"$(cat x)\"'",
    "train.py --token --epochs 3",
    "train.py https://h.example/x @h.example a@b",
    "curl -u somebody https://h.example",
    "python -u train.py a:b",
    "docker run -u 1000:1000 x",
    "env TOKENIZERS_PARALLELISM=false PATH=/x train.py",
]


@pytest.mark.parametrize("line", HIDDEN)
def test_a_credential_in_a_word_is_hidden(line: str) -> None:
    recorded = record_command(shlex.split(line), {})
    shown = shlex.join(recorded.words)
    assert SECRET not in shown
    assert "abcdefghijkl" not in shown
    assert "***" in shown
    assert recorded.hidden
    assert list(describe_hidden(recorded.words, recorded.hidden))
    assert record_command(recorded.words, {}).words == recorded.words


@pytest.mark.parametrize("line", PLAIN)
def test_what_is_no_credential_is_recorded_as_it_is(line: str) -> None:
    words = shlex.split(line)
    assert record_command(words, {}) == (tuple(words), (), (), ())


@pytest.mark.parametrize("line", [line for line in HIDDEN if SECRET in line])
def test_a_value_of_a_variable_is_named_and_comes_back(line: str) -> None:
    words = shlex.split(line)
    recorded = record_command(words, {"MINE": SECRET, "OTHER": "not-there"})
    assert SECRET not in shlex.join(recorded.words)
    assert (recorded.variables, recorded.hidden) == (("MINE",), ())
    assert restore_command(recorded.words, recorded.masked, {"MINE": SECRET}) == words
    assert restore_command(recorded.words, recorded.masked, {"MINE": "another"}) == [
        word.replace(SECRET, "another") for word in words
    ]


@given(st.lists(st.text(max_size=20), max_size=6), st.dictionaries(st.sampled_from("AB"), st.text(max_size=8)))
def test_what_is_not_hidden_comes_back(words: list[str], values: dict[str, str]) -> None:
    recorded = record_command(words, values)
    restored = restore_command(recorded.words, recorded.masked, values)
    assert [w for n, w in enumerate(restored) if n not in recorded.hidden] == [
        w for n, w in enumerate(words) if n not in recorded.hidden
    ]


def test_a_word_with_a_reference_of_its_own_is_left_to_the_rules() -> None:
    recorded = record_command(["sh", "-c", f"echo ${{MINE}} {SECRET}"], {"MINE": SECRET})
    assert recorded.words[2] == f"echo ${{MINE}} {SECRET}" or "***" in recorded.words[2]


def test_variables_with_credentials_are_recorded_by_name() -> None:
    variables = {"EPOCHS": "3", "HF_TOKEN": SECRET, "INDEX": f"https://u:{SECRET}@h/simple", "MAX_TOKEN": "9"}
    assert split_variables(variables) == ({"EPOCHS": "3", "MAX_TOKEN": "9"}, ("HF_TOKEN", "INDEX"))


def test_a_login_that_is_partly_named_is_hidden() -> None:
    recorded = record_command([f"https://u:more{SECRET}@h"], {"MINE": SECRET})
    assert (recorded.words, recorded.hidden) == (("https://***@h",), (0,))


@pytest.mark.parametrize("name", ["HF_TOKEN", "--api-key", "apiKey", "AWS_SECRET_ACCESS_KEY", "db.password"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
