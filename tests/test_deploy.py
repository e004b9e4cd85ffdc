"""The files of the deployment, as far as they can be tried without containers and without systemd."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from harness.browser import ROOT, free_port
from harness.hosting import (
    NGINX,
    NO_PROXY,
    TEMPLATE,
    command,
    copies,
    copy_app,
    dockerfile,
    nginx_config,
    replica,
    require_nginx,
    server_command,
)
from xent_core.codec import sandboxed_reading
from xent_core.dump.formats import sandboxed_files
from xent_ui.server.limits import MOST_WORKERS, PUBLIC

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
REPLICAS = [name for name in SERVICES if name.startswith("replica")]
UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())
REPLICA_UNIT, NGINX_UNIT = (
    ROOT / "deploy" / "systemd" / name for name in ("xent-replica@.service", "xent-nginx.service")
)
HOSTING = (ROOT / "docs" / "hosting.md").read_text("utf-8")
ONCE_MORE = ("Environment", "ExecStartPre", "SystemCallFilter")  # what a unit may say several times
AS_CLOSED_AS_CAN_BE = {
    **dict.fromkeys(("NoNewPrivileges", "DynamicUser", "ProtectHome", "PrivateTmp", "PrivateDevices"), "yes"),
    **dict.fromkeys(
        ("ProtectKernelTunables", "ProtectKernelModules", "ProtectControlGroups", "LockPersonality"), "yes"
    ),
    **dict.fromkeys(("RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "ProtectClock", "RemoveIPC"), "yes"),
    "ProtectSystem": "strict",
    "SystemCallArchitectures": "native",
    "MemorySwapMax": "0",
    "Restart": "always",
    "KillMode": "mixed",
}


def unit(path: Path) -> dict[str, list[str]]:
    """What a unit of systemd says in [Service]."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def megabytes(text: str) -> int:
    """Of a size as compose and systemd write it."""
    return int(text[:-1]) * {"m": 1, "g": 1024}[text[-1].lower()]


def table(unit: str) -> dict[str, int]:
    """How much of what, from the page about hosting."""
    _before, _head, rest = HOSTING.partition(f"| what | {unit} | bounded by |\n|---|---|---|\n")
    rows = [re.fullmatch(r"\| ([^|]+) \| (\d+) \| [^|]+ \|", line) for line in rest.partition("\n\n")[0].splitlines()]
    return {row[1]: int(row[2]) for row in rows if row}


def memory_option(words: list[str]) -> int:
    """Of the watchdog."""
    [text] = [word.partition("=")[2] for word in words if word.startswith("--memory-mb=")]
    return int(text)


def written(name: str) -> int:
    """A limit, wherever in the program it stands."""
    programs = [*ROOT.glob("xent_host/*.py"), *ROOT.glob("xent_ui/server/*.py")]
    [number] = {
        number
        for path in programs
        for number in re.findall(rf"^    {name}: int = (\d+)$", path.read_text("utf-8"), re.M)
    }
    return int(number)


def test_everything_that_the_image_copies_exists_and_is_sent_to_the_build() -> None:
    ignored, *kept = [
        line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")
    ]
    sources = [source for sources, _target in copies() for source in sources]

    assert all((ROOT / source).exists() for source in sources)
    assert ignored == "*"
    assert sorted(f"!{source}" for source in sources) == sorted(line for line in kept if line.startswith("!"))


@pytest.mark.long
def test_what_the_image_holds_is_all_that_the_app_needs_and_its_health_check_says_so(tmp_path: Path) -> None:
    copy_app(tmp_path)
    [check] = (json.loads(text.partition(" CMD ")[2]) for text in dockerfile()["HEALTHCHECK"])
    assert server_command()[:5] == ["python", "-m", "streamlit", "run", "hosted.py"]  # as `replica` starts it

    with replica(tmp_path) as server:
        here = [part.replace("http://127.0.0.1:8501", server.url) for part in check]
        assert subprocess.run([sys.executable, *here[1:]], check=False).returncode == 0
        assert [json.loads(line)["event"] for line in server.log().splitlines()] == ["start", "warm"]  # and no welcome
    assert subprocess.run([sys.executable, *here[1:]], check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_the_container_runs_as_a_user_who_owns_nothing() -> None:
    assert dockerfile()["USER"] == ["app"]
    assert "useradd --create-home --uid 1000 app" in dockerfile()["RUN"]
    assert "--chown" not in (ROOT / "Dockerfile").read_text("utf-8")


def test_the_replicas_and_nginx_are_as_closed_as_they_can_be() -> None:
    for service in SERVICES.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        [folder] = service["tmpfs"]
        assert re.fullmatch(r"/tmp:size=\d+m,mode=1777", folder)  # it counts as memory
        assert service["memswap_limit"] == service["mem_limit"]
        assert service["pids_limit"] <= 1000
        assert service["ulimits"]["core"] == 0  # which would hold what visitors typed
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]


def test_compose_gives_nginx_every_name_of_its_template_and_waits_for_warm_replicas() -> None:
    values = SERVICES["nginx"]["environment"]
    port = dockerfile()["EXPOSE"][0]

    nginx_config(values)  # raises for a name without a value
    addresses = [SERVICES[name]["networks"]["default"]["ipv4_address"] for name in REPLICAS]
    assert [values[f"XENT_REPLICA_{number}"] for number in (1, 2)] == [f"{address}:{port}" for address in addresses]
    [subnet] = (ip_network(pool["subnet"]) for pool in COMPOSE["networks"]["default"]["ipam"]["config"])
    assert all(ip_address(address) in subnet for address in addresses)
    assert SERVICES["nginx"]["depends_on"] == {name: {"condition": "service_healthy"} for name in REPLICAS}
    [volume] = SERVICES["nginx"]["volumes"]
    assert (ROOT / volume.split(":")[0]) == TEMPLATE
    assert SERVICES["nginx"]["ports"] == [f"${{XENT_PORT:-8080}}:{values['XENT_LISTEN']}"]


def test_a_replica_believes_nobody_but_nginx_for_whom_it_asks() -> None:
    nginx = SERVICES["nginx"]["networks"]["default"]["ipv4_address"]
    assert {SERVICES[name]["environment"]["FORWARDED_ALLOW_IPS"] for name in REPLICAS} == {nginx}
    assert SERVICES["nginx"]["environment"]["XENT_PROXY"] == f"${{XENT_PROXY:-{NO_PROXY}}}"
    assert "FORWARDED_ALLOW_IPS=127.0.0.1" in unit(REPLICA_UNIT)["Environment"]
    assert f"XENT_PROXY={NO_PROXY}" in " ".join(unit(NGINX_UNIT)["Environment"])


def test_nginx_lets_the_largest_upload_through_and_little_more() -> None:
    [megabytes] = re.findall(r"client_max_body_size (\d+)m;", TEMPLATE.read_text("utf-8"))

    assert int(megabytes) == PUBLIC.upload_mb + 1


def test_the_image_and_systemd_start_the_same_server_under_the_same_watchdog() -> None:
    [line] = unit(REPLICA_UNIT)["ExecStart"]
    words = [word.replace("/opt/xent/venv/bin/", "").replace("%i", "8501") for word in shlex.split(line)]

    assert words.pop(2) == "--url=http://127.0.0.1:8501/healthz"  # what it asks unless told otherwise
    assert [word.replace("=127.0.0.1", "=0.0.0.0") for word in words] == command()
    [patience] = unit(REPLICA_UNIT)["WatchdogSec"]
    assert int(patience) >= 30  # far more than the half second after which it says that it lives
    assert unit(REPLICA_UNIT)["Type"] == ["notify"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_is_as_closed_as_it_can_be_and_says_nothing_twice(path: Path) -> None:
    says = unit(path)

    assert {key: says[key] for key in AS_CLOSED_AS_CAN_BE} == {key: [text] for key, text in AS_CLOSED_AS_CAN_BE.items()}
    assert [key for key, values in says.items() if len(values) > 1 and key not in ONCE_MORE] == []
    assert says["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert says["RestrictAddressFamilies"] == ["AF_INET AF_INET6 AF_UNIX"]
    assert says["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE" if path == NGINX_UNIT else ""]
    assert {"MemoryMax", "TasksMax", "LimitNOFILE", "TimeoutStopSec"} <= says.keys()


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_knows_every_word_of_a_unit(tmp_path: Path, path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("There is no systemd-analyze on this machine")
    text = re.sub(r"^(Exec\w+=)/\S+", r"\1/bin/true", path.read_text("utf-8"), flags=re.M)  # what is not installed here
    for name in (path.name.replace("@", "@8501"), "xent-replica@.service"):
        (tmp_path / name).write_text(text, "utf-8")
    told = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / path.name.replace("@", "@8501"))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.stdout + told.stderr, told.returncode) == ("", 0)


def test_nginx_under_systemd_starts_with_what_its_unit_fills_in(tmp_path: Path) -> None:
    require_nginx()
    says = unit(NGINX_UNIT)
    values = dict(shlex.split(pair)[0].split("=", 1) for line in says["Environment"] for pair in line.split())
    values |= {"XENT_HOSTS": "xent.example.org", "XENT_LISTEN": f"127.0.0.1:{free_port()}", "XENT_TMP": str(tmp_path)}
    fill, test = (
        line.replace("/opt/xent/app", str(ROOT)).replace("/run/xent-nginx", str(tmp_path)).replace("$$", "$")
        for line in says["ExecStartPre"]
    )
    subprocess.run(shlex.split(fill), env={**os.environ, **values}, check=True)

    assert (tmp_path / "nginx.conf").read_text("utf-8") == nginx_config(values)
    told = subprocess.run([str(NGINX), *shlex.split(test)[1:]], capture_output=True, text=True, check=False)
    assert (told.stderr, told.returncode) == ("", 0)


def test_the_memory_of_a_replica_holds_all_that_its_limits_allow() -> None:
    counted, in_folder = table("MB"), table("MB in `/tmp`")
    [folder] = SERVICES["replica1"]["tmpfs"]
    folder_mb = megabytes(re.findall(r"size=(\d+m)", folder)[0])
    watched_mb, memory_mb = memory_option(command()), megabytes(SERVICES["replica1"]["mem_limit"])

    assert counted["uploaded files"] == written("all_files_mb")
    assert counted["visits"] == written("visits")  # a megabyte each
    most = max(limits.memory_bytes for limits in (sandboxed_reading.LIMITS, sandboxed_files.LIMITS)) // 2**20
    assert counted["processes that read files"] == most * (MOST_WORKERS + 1)
    assert PUBLIC.readers == PUBLIC.workers + 1 <= MOST_WORKERS + 1
    assert sum(counted.values()) <= watched_mb
    assert watched_mb + folder_mb <= memory_mb
    assert in_folder["copies of the uploads that are read"] == written("all_files_mb")
    assert in_folder["uploads that are on their way"] == written("at_once") * (PUBLIC.upload_mb + 1)
    assert sum(in_folder.values()) <= folder_mb
    assert [megabytes(text) for text in unit(REPLICA_UNIT)["MemoryMax"]] == [memory_mb]
    assert f"{watched_mb} MB" in HOSTING
    assert f"{folder_mb} MB" in HOSTING
    assert f"{memory_mb // 1024} GB" in HOSTING


def test_the_page_about_hosting_names_the_numbers_of_the_watchdog() -> None:
    program = [sys.executable, str(ROOT / "deploy" / "watchdog.py"), "--help"]
    text = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    for option, words in (("silent-seconds", "silent for {} seconds"), ("memory-seconds", "for {} seconds")):
        [number] = re.findall(rf"--{option} [A-Z_]+\s+[^(]*\((\d+)\)", text)
        assert words.format(number) in HOSTING


@pytest.mark.long
def test_a_server_that_is_frozen_under_the_watchdog_of_the_image_comes_back(tmp_path: Path) -> None:
    copy_app(tmp_path)
    port, log_file = free_port(), tmp_path / "log"
    words = [sys.executable if word == "python" else word for word in command()]
    words = [f"--server.port={port}" if word.startswith("--server.port=") else word for word in words]
    words = [word.replace("=0.0.0.0", "=127.0.0.1") for word in words]
    words[2:2] = [f"--url=http://127.0.0.1:{port}/healthz", "--silent-seconds=3", "--stop-seconds=1"]

    def events(name: str) -> list[dict[str, int]]:
        lines = [line for line in log_file.read_text("utf-8").splitlines() if line.startswith("{")]
        return [found for found in map(json.loads, lines) if found["event"] == name]

    with log_file.open("wb") as log:
        watchdog = subprocess.Popen(words, cwd=tmp_path, stdout=log, stderr=subprocess.DEVNULL)
    try:
        for count in (1, 2):
            deadline = time.monotonic() + 120
            while len(events("watchdog-ready")) < count:
                assert time.monotonic() < deadline, log_file.read_text("utf-8")
                time.sleep(0.1)  # between two looks at the log
            if count == 1:
                os.kill(events("watchdog-start")[0]["process"], signal.SIGSTOP)
    finally:
        watchdog.terminate()
        watchdog.wait(30)
    for started in events("watchdog-start"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(started["process"], 0)
            pytest.fail("The watchdog has left a server behind")


def test_the_page_about_hosting_names_only_variables_that_something_reads() -> None:
    named = set(re.findall(r"XENT_[A-Z_0-9]+", (ROOT / "docs" / "hosting.md").read_text("utf-8")))
    programs = [*ROOT.glob("xent_*/**/*.py"), ROOT / "compose.yaml", TEMPLATE, *UNITS]
    read = set(re.findall(r"XENT_[A-Z_0-9]+", "".join(path.read_text("utf-8") for path in programs)))

    assert named <= read
    assert {"XENT_ALLOWED_HOSTS", "XENT_FRAME_ANCESTORS", "XENT_PUBLIC", "XENT_HOSTS", "XENT_PORT"} <= named
