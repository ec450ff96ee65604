from __future__ import annotations

import pytest

from roost.model.syntax.urls import find_written_credentials, strip_credentials


@pytest.mark.parametrize(
    ("text", "clean", "found"),
    [
        ("https://u:p@h/x", "https://h/x", {"https://h": "u:p"}),
        ("https://u:p@h:8443/x", "https://h:8443/x", {"https://h:8443": "u:p"}),
        ("https://u:p/w?#@h/x", "https://h/x", {"https://h": "u:p/w?#"}),
        ("https://u:p@w@h/x", "https://h/x", {"https://h": "u:p@w"}),
        ("https://token@h/x", "https://h/x", {"https://h": "token"}),
        ("git+https://u:p@h/x@v1", "git+https://h/x@v1", {"https://h": "u:p"}),
        ("git+ssh://git@h/x", "git+ssh://git@h/x", {}),
        ("git+ssh://git:p@h/x", "git+ssh://h/x", {"ssh://h": "git:p"}),
        ("https://h/t/TOKEN/c::six", "https://h/c::six", {"https://h": "/t/TOKEN"}),
        ("https://h/t/${TOKEN}/c", "https://h/t/${TOKEN}/c", {}),
        ("https://${U}:${P}@h/c", "https://${U}:${P}@h/c", {}),
        ("abfss://container@account.h/x.jar", "abfss://container@account.h/x.jar", {}),
        ("wasbs://container:key@account.h/x", "wasbs://account.h/x", {"wasbs://account.h": "container:key"}),
        ("https://${U}:secret@h/c", "https://h/c", {"https://h": "${U}:secret"}),
        (
            "x @ https://h/x.whl?sv=1&sig=A%2B#sha256=q",
            "x @ https://h/x.whl#sha256=q",
            {"https://h/x.whl": "?sv=1&sig=A%2B"},
        ),
        ("https://h/x.whl?raw=true", "https://h/x.whl?raw=true", {}),
        ("https://h:80/a@b", "https://h:80/a@b", {}),
        ("a https://u:p@h b https://v:q@i", "a https://h b https://i", {"https://h": "u:p", "https://i": "v:q"}),
        ("six>=1", "six>=1", {}),
    ],
)
def test_secrets_are_taken_out_and_handed_on(text, clean, found):
    assert strip_credentials(text) == (clean, found)
    assert strip_credentials(clean) == (clean, {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM x\nRUN pip install -i https://u:hunter2@h/simple y", (2, "https://h")),
        ("RUN curl 'https://h/x?sig=abc&v=1'", (1, "https://h/x")),
        ("# https://u:p@h/x", (1, "https://h")),
        ("RUN git clone https://$USER:hunter2@h/x", (1, "https://h")),
        ("RUN git clone https://u:${TOKEN:-hunter2}@h/x", (1, "https://h")),
        ("RUN git clone https://u:$TOKEN@h/x", None),
        ("RUN git clone https://${TOKEN}@h/x https://u:${TOKEN:?}@h/x", None),
        ('RUN git clone "https://u:$(cat /run/secrets/token)@h/x"', None),
        ('RUN curl "https://h/x?v=1&token=$TOKEN"', None),
        ("RUN curl https://h/x?v=1&raw=true && ssh git@h", None),
    ],
)
def test_what_a_script_has_written_out(text: str, found: tuple[int, str] | None) -> None:
    assert find_written_credentials(text) == found
