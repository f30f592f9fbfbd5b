"""`make run`, `make run-kafka`: the whole product on this machine, until Ctrl-C.

`python -m tools.run` starts PostgreSQL, a mail sink, the functions in one process, daprd and Caddy, and stops all of it
when one of them ends. `python -m tools.run kafka` starts Kafka and Redis too, and a process and a daprd a function
(dapr.yaml); what ends is started again. Both print `ready` and the URL when everything answers, and stop everything in
the reverse order on Ctrl-C. Environment:

    TICKLER_HOST (127.0.0.1), TICKLER_PORT (8080; 0 for a free one)   where the edge listens
    TICKLER_HOSTNAME, TICKLER_TLS (acme; internal)                    the edge has TLS for this name
    TICKLER_DATA (.tickler)                                           data, logs and run.json
    TICKLER_DATABASE_URL                                              instead of the embedded PostgreSQL
    TICKLER_KAFKA_BROKERS (host:port,...), TICKLER_REDIS_URL          instead of those that `kafka` starts
    TICKLER_CONTAINERS (auto; never)                                  where Docker answers, `kafka` starts containers
    TICKLER_SMTP_HOST, TICKLER_SMTP_PORT (25)                         instead of the mail sink
    TICKLER_AUTH (local)                                              local: accounts; oidc: TICKLER_OIDC_...; none
    TICKLER_DAPRD                                                     the daprd to use
"""

import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.console import OperatorError, fail, shown, step
from tools.options import Options, check_port

if TYPE_CHECKING:
    from tools.processes import Supervisor
    from tools.stack import Mode


@contextlib.contextmanager
def only_run(data: Path) -> Iterator[dict[str, Any]]:
    """Holds the data folder's lock; yields what the previous run recorded, {} after a clean end."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / "logs").mkdir(mode=0o700, exist_ok=True)
        lock = (data / "lock").open("a")
    except OSError as error:
        raise OperatorError(f"the data folder {shown(data)} cannot be written ({error}); set TICKLER_DATA") from error
    with lock:
        previous = _previous(data)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, url = previous.get("pid", "unknown"), previous.get("url", "its URL")
            raise OperatorError(f"Tickler already runs (pid {pid}) at {url}; stop it with Ctrl-C there") from None
        try:
            yield previous
        finally:
            (data / "run.json").unlink(missing_ok=True)


def _previous(data: Path) -> dict[str, Any]:
    try:
        previous: dict[str, Any] = json.loads((data / "run.json").read_text())
        return previous
    except (OSError, ValueError):
        return {}


def main(mode: "Mode" = "embedded") -> int:
    """Runs until Ctrl-C (exit status 0) or until something fails (1)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the supervisor looks after it, and so no traceback
    from tools.processes import Supervisor

    try:
        options = Options.from_environment()
        with only_run(options.data) as previous:
            supervisor = Supervisor(options.data / "logs")
            try:
                return _run(options, supervisor, previous, mode)
            except OperatorError:
                if not supervisor.stop_asked():  # else what failed was stopped by the same Ctrl-C
                    raise
                print("Tickler stops", flush=True)
                return 0
            finally:
                supervisor.stop()
    except OperatorError as error:
        return fail(error)


def _run(options: Options, supervisor: "Supervisor", previous: dict[str, Any], mode: "Mode") -> int:
    from tools import local_user
    from tools.processes import StopAsked, stop_orphans
    from tools.stack import Stack

    print(f"Tickler starts (data in {shown(options.data)})", flush=True)
    try:
        if left := stop_orphans(previous.get("children", [])):
            step(f"stopped what a killed run left: {', '.join(left)}")
        options = options.with_port(check_port(options.host, options.port))
        Stack(options, supervisor, mode).start()
        auth = os.environ.get("TICKLER_AUTH") or "local"
        file = local_user.ensure(options, supervisor) if local_user.is_wanted(options, auth) else None
        print(f"Tickler is ready at {options.url()}", flush=True)
        local_user.explain(options, auth, file)
        step("in another terminal: make demo, make mail; here: Ctrl-C stops everything")
        supervisor.watch(restart=mode == "kafka")
    except StopAsked:
        print("Tickler stops", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main("kafka" if sys.argv[1:] == ["kafka"] else "embedded"))
