"""The files of the deployment, as far as they can be tried without containers."""

import json
import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import yaml

from harness.browser import ROOT
from harness.hosting import TEMPLATE, command, copies, copy_app, dockerfile, nginx_config, replica
from xent_ui.server.limits import PUBLIC

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
REPLICAS = [name for name in SERVICES if name.startswith("replica")]


def test_everything_that_the_image_copies_exists_and_is_sent_to_the_build() -> None:
    ignored, *kept = [
        line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")
    ]
    sources = [source for sources, _target in copies() for source in sources]

    assert all((ROOT / source).exists() for source in sources)
    assert ignored == "*"
    assert sorted(f"!{source}" for source in sources) == sorted(line for line in kept if line.startswith("!"))


def test_what_the_image_holds_is_all_that_the_app_needs_and_its_health_check_says_so(tmp_path: Path) -> None:
    copy_app(tmp_path)
    [check] = (json.loads(text.partition(" CMD ")[2]) for text in dockerfile()["HEALTHCHECK"])
    assert command()[:5] == ["python", "-m", "streamlit", "run", "hosted.py"]  # as `replica` starts it

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
        assert service["tmpfs"] == ["/tmp"]
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


def test_nginx_lets_the_largest_upload_through_and_little_more() -> None:
    [megabytes] = re.findall(r"client_max_body_size (\d+)m;", TEMPLATE.read_text("utf-8"))

    assert int(megabytes) == PUBLIC.upload_mb + 1


def test_the_page_about_hosting_names_only_variables_that_something_reads() -> None:
    named = set(re.findall(r"XENT_[A-Z_0-9]+", (ROOT / "docs" / "hosting.md").read_text("utf-8")))
    programs = [*ROOT.glob("xent_*/**/*.py"), ROOT / "compose.yaml", TEMPLATE]
    read = set(re.findall(r"XENT_[A-Z_0-9]+", "".join(path.read_text("utf-8") for path in programs)))

    assert named <= read
    assert {"XENT_ALLOWED_HOSTS", "XENT_FRAME_ANCESTORS", "XENT_PUBLIC", "XENT_HOSTS", "XENT_PORT"} <= named
