"""make run's local user: where there is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tools.local_user import explain, is_wanted
from tools.options import Options

LOCAL = Options(host="127.0.0.1", port=8080, data=Path("data"), smtp_host=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_is_where_accounts_are_ours_and_only_this_machine_comes(host: str) -> None:
    assert is_wanted(replace(LOCAL, host=host), "local")


@pytest.mark.parametrize(
    ("options", "auth"),
    [
        (LOCAL, "none"),
        (LOCAL, "oidc"),
        (replace(LOCAL, host="0.0.0.0"), "local"),
        (replace(LOCAL, host="192.0.2.1"), "local"),
        (replace(LOCAL, hostname="tasks.example.org"), "local"),
    ],
)
def test_is_nowhere_else(options: Options, auth: str) -> None:
    assert not is_wanted(options, auth)


def test_a_file_with_a_space_in_its_path_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my data"
    file.write_text('{"email": "you@tickler.localhost", "password": "..."}')
    explain(LOCAL, "local", file)
    assert f"-d '@{file}'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("auth", "said"), [("local", "sign up: POST http://127.0.0.1:8080/api/auth/signup"), ("none", "nobody is let in")]
)
def test_without_one_it_is_said_what_to_do(capsys: pytest.CaptureFixture[str], auth: str, said: str) -> None:
    explain(LOCAL, auth, None)
    assert said in capsys.readouterr().out
