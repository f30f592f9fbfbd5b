"""How `make run` reads dapr.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from functions.runtime.triggers import load
from tools.console import REPOSITORY, OperatorError
from tools.sidecar import Ports, Tokens, app_environment, command, read_apps

PORTS = Ports(app=1, http=2, grpc=3, internal=4, metrics=5)
FILE = """
version: 1
common:
  resourcesPaths: [components]
  configFilePath: common.yaml
  env: {A: common, B: common}
apps:
- appID: one
  appDirPath: apps/one
  appProtocol: grpc
  appPort: 9999
  resourcesPaths: [own]
  appHealthProbeTimeout: 700
  enableAppHealthCheck: false
  env: {B: app, C: 7}
  command: [python, -m, functions]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "dapr.yaml"
    file.write_text(text)
    return file


def test_paths_are_relative_to_the_file_in_common_and_to_the_app_elsewhere(tmp_path: Path) -> None:
    (app,) = read_apps(written(tmp_path, FILE))
    assert app.directory == tmp_path / "apps/one"
    assert app.resources == (tmp_path / "apps/one/own",)
    assert app.configuration == tmp_path / "common.yaml"
    (own,) = read_apps(written(tmp_path, FILE.replace("  appPort: 9999", "  configFilePath: own.yaml")))
    assert own.configuration == tmp_path / "apps/one/own.yaml"
    (common,) = read_apps(written(tmp_path, FILE.replace("  resourcesPaths: [own]\n", "")))
    assert common.resources == (tmp_path / "components",)


def test_the_app_gets_its_variables_and_the_ports_that_were_chosen(tmp_path: Path) -> None:
    (app,) = read_apps(written(tmp_path, FILE))
    environment = app_environment(app, PORTS)
    assert {name: environment[name] for name in ("A", "B", "C")} == {"A": "common", "B": "app", "C": "7"}
    assert environment["APP_PORT"] == "1"
    assert environment["DAPR_HTTP_PORT"] == "2"
    assert environment["DAPR_GRPC_PORT"] == "3"
    assert environment["APP_ID"] == "one"


def test_the_sidecar_listens_on_loopback_only_and_takes_what_the_file_says(tmp_path: Path) -> None:
    (app,) = read_apps(written(tmp_path, FILE))
    line = [str(part) for part in command(Path("daprd"), app, PORTS, allowed_origins="http://here")]
    for flag in ("--dapr-listen-addresses", "--dapr-internal-grpc-listen-address", "--metrics-listen-address"):
        assert line[line.index(flag) + 1] == "127.0.0.1"
    assert line[line.index("--app-port") + 1] == "1"
    assert "9999" not in line
    assert "--app-health-probe-timeout=700" in line
    assert "--enable-app-health-check=false" in line
    assert "--app-health-threshold=3" in line
    assert [line[i + 1] for i, part in enumerate(line) if part == "--resources-path"] == list(map(str, app.resources))


@pytest.mark.parametrize(
    "text", ["", "[]", "apps: 3", "apps: [{appID: x}]", "apps: [{}, {}]", "{{", "common: 3\napps: [{}]"]
)
def test_a_file_that_is_no_run_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(OperatorError, match=r"is not a dapr\.yaml") as failure:
        read_apps(written(tmp_path, text))
    assert "\n" not in str(failure.value)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="make render"):
        read_apps(tmp_path / "dapr.yaml")


def test_an_app_without_a_command_is_a_sidecar_by_itself(tmp_path: Path) -> None:
    (app,) = read_apps(written(tmp_path, FILE.replace("  command: [python, -m, functions]\n", "")))
    assert app.command == ()
    line = command(Path("daprd"), app, PORTS, allowed_origins="http://here")
    assert "--app-port" not in line
    assert "--enable-app-health-check=false" in line


def test_tokens_are_new_each_time_and_in_no_log() -> None:
    one, other = Tokens(), Tokens()
    assert len({one.api, one.app, other.api, other.app}) == 4
    assert min(map(len, (one.api, one.app))) >= 43
    assert one.environment() == {"DAPR_API_TOKEN": one.api, "APP_API_TOKEN": one.app}
    assert one.api not in repr(one)
    assert one.app not in repr(one)


@pytest.mark.parametrize("name", ["dapr.yaml", "dapr-embedded.yaml"])
def test_the_product_s_own_files_are_read(name: str) -> None:
    for app in read_apps(REPOSITORY / name):
        assert all(path.is_dir() for path in app.resources)
        assert app.configuration is not None
        assert app.configuration.is_file()


def test_an_app_knows_how_many_subscriptions_are_its_own() -> None:
    kafka = {app.app_id: app.subscriptions() for app in read_apps(REPOSITORY / "dapr.yaml")}
    assert (kafka["log-activity"], kafka["gateway"], kafka["get-task"]) == (2, 0, 0)
    (embedded,) = read_apps(REPOSITORY / "dapr-embedded.yaml")
    assert embedded.subscriptions() == len({topic.name for function in load() for topic in function.topics})
