"""The user that `make run` makes, so that somebody who starts it for the first time can sign in.

The file `secrets/local-user` in the data folder (mode 600) has what POST /api/auth/token takes: the email and a random
password. The account is made by POST /api/auth/signup, as any other; at later starts it is there already.
"""

import http
import http.client
import json
import os
import secrets
import shlex
from pathlib import Path

from tools.console import OperatorError, shown, step
from tools.options import Options
from tools.processes import Supervisor

EMAIL = "you@tickler.localhost"
"""`.localhost` is nobody's (RFC 6761 section 6.3): a mail to it goes no further than this machine."""


def is_wanted(options: Options, auth: str) -> bool:
    """Only where accounts are ours and nobody but this machine reaches them: elsewhere people sign up themselves."""
    return auth == "local" and options.is_private()


def ensure(options: Options, supervisor: Supervisor) -> Path:
    """Makes the user unless there is one; the file with its password. Raises OperatorError where that fails."""
    file = options.data / "secrets" / "local-user"
    is_new = not file.exists()
    if is_new:
        _write(file, EMAIL)
    status = _signed_up(options, supervisor, file)
    if is_new and status == http.HTTPStatus.CONFLICT:  # the file was lost, and with it the password of that one
        _write(file, EMAIL.replace("@", f"-{secrets.token_hex(3)}@"))
        status = _signed_up(options, supervisor, file)
    # There already, as at every later start; or, where an operator limits sign-ups, not asked again now.
    if status not in (http.HTTPStatus.OK, http.HTTPStatus.CONFLICT, http.HTTPStatus.TOO_MANY_REQUESTS):
        raise OperatorError(f"{shown(file)} is not what one can sign up with; remove it, and a new user is made")
    return file


def _write(file: Path, email: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump({"email": email, "password": secrets.token_urlsafe(18)}, opened)
    draft.replace(file)


def _read(file: Path) -> dict[str, str]:
    """The email and the password. Raises OperatorError."""
    try:
        credentials = json.loads(file.read_text())
        return {name: credentials[name] for name in ("email", "password")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperatorError(f"{shown(file)} cannot be read ({error}); remove it, and a new user is made") from None


def _signed_up(options: Options, supervisor: Supervisor, file: Path) -> int:
    """The status that signing up was answered, once there is an answer."""
    body = json.dumps(_read(file))
    statuses: list[int] = []

    def answered() -> bool:
        statuses.append(_sign_up(options, body))
        return 0 < statuses[-1] < http.HTTPStatus.INTERNAL_SERVER_ERROR

    supervisor.until(answered, what="the local user could not sign up", timeout=60)
    return statuses[-1]


def _sign_up(options: Options, body: str) -> int:
    """The status of the answer; 0 where there is none."""
    connection = http.client.HTTPConnection(options.address(), options.port, timeout=10)
    try:
        connection.request("POST", "/api/auth/signup", body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def explain(options: Options, auth: str, file: Path | None) -> None:
    """Prints how to sign in."""
    url = options.url()
    if file is not None:
        given = shlex.quote(f"@{shown(file)}")
        take = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"
        step(f"sign in as {_read(file)['email']}; the password is in {shown(file)}")
        step(f"a token for 15 minutes: TOKEN=$(curl -s {url}/api/auth/token -d {given} | {take})")
        step(f'and with it: curl {url}/api/tasks -H "Authorization: Bearer $TOKEN"')
    elif auth == "local":
        step(f"sign up: POST {url}/api/auth/signup with email and password")
    elif auth == "oidc":
        step(f"sign in at {os.environ.get('TICKLER_OIDC_ISSUER', 'the issuer')}")
    else:
        step(f"TICKLER_AUTH is {auth}: nobody is let in")
