"""The deployment without containers: what the Dockerfile copies, started as it says, twice, behind a real nginx."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.browser import ROOT, START_SECONDS, Server, free_port, serve

TEMPLATE = ROOT / "deploy" / "nginx.conf.template"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")  # which Debian has on the path of root alone
NO_NGINX = "There is no nginx on this machine. Install the package nginx-light"
NO_PROXY = "255.255.255.255"  # where nginx is the first that a visitor meets


def require_nginx() -> None:
    """Skip the test where there is no nginx; with XENT_REQUIRE_NGINX=1, fail it."""
    if NGINX is None:
        if os.environ.get("XENT_REQUIRE_NGINX") == "1":
            pytest.fail(NO_NGINX, pytrace=False)
        pytest.skip(NO_NGINX)


@dataclass
class Site:
    """What visitors see of two replicas.

    Attributes:
      url: the address of nginx.
      replicas: the running servers, by the number that the cookie knows.
      folder: where they run.
    """

    url: str
    replicas: dict[str, Server]
    folder: Path
    log_file: Path

    def requests(self) -> list[dict[str, str | int | float]]:
        """What nginx has logged."""
        return [json.loads(line) for line in self.log_file.read_text("utf-8").splitlines()]


def dockerfile() -> dict[str, list[str]]:
    """The arguments of each instruction of the Dockerfile, in their order."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            instruction, arguments = line.split(maxsplit=1)
            found.setdefault(instruction, []).append(arguments)
    return found


def command() -> list[str]:
    """What the image runs: the watchdog, which runs the server."""
    [text] = dockerfile()["CMD"]
    words: list[str] = json.loads(text)
    return words


def server_command() -> list[str]:
    """What the watchdog of the image runs."""
    words = command()
    return words[words.index("--") + 1 :]


def copies() -> list[tuple[list[str], str]]:
    """What the Dockerfile copies: from where, and where to."""
    return [(arguments.split()[:-1], arguments.split()[-1]) for arguments in dockerfile()["COPY"]]


def copy_app(folder: Path) -> None:
    """Do what the COPY instructions of the Dockerfile do."""
    for sources, target in copies():
        for source in sources:
            goal = folder / target / source if target.endswith("/") else folder / target
            goal.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, goal, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, goal)


def nginx_config(values: dict[str, str]) -> str:
    """The template with its names filled in. Raises: KeyError for a name that has no value."""
    return re.sub(r"\$\{(XENT_\w+)\}", lambda name: values[name[1]], TEMPLATE.read_text("utf-8"))


@contextlib.contextmanager
def two_replicas_behind_nginx() -> Iterator[Site]:
    """The site, until the block ends. Raises: RuntimeError with the log of what does not start."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        copy_app(folder)
        replicas = {name: stack.enter_context(replica(folder)) for name in ("1", "2")}
        addresses = [server.url.removeprefix("http://") for server in replicas.values()]
        url, log_file = stack.enter_context(nginx_before(addresses))
        yield Site(url, replicas, folder, log_file)


@contextlib.contextmanager
def nginx_before(addresses: Sequence[str], **names: str) -> Iterator[tuple[str, Path]]:
    """nginx with our template before two replicas, until the block ends: its address and what it logs.

    Beside that file lies error.log, with what it writes to stderr.

    Args: names: values for the names of the template, other than those of a test.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # started by root, nginx works as somebody else
        port = free_port()
        values = {f"XENT_REPLICA_{number}": address for number, address in enumerate(addresses, 1)}
        values |= {"XENT_LISTEN": f"127.0.0.1:{port}", "XENT_HOSTS": "127.0.0.1", "XENT_TMP": scratch}
        values |= {"XENT_LOG": "/dev/stdout", "XENT_PROXY": NO_PROXY, **names}
        (folder / "nginx.conf").write_text(nginx_config(values), "utf-8")
        log_file = folder / "access.log"
        with _nginx(folder, log_file, port):
            yield f"http://127.0.0.1:{port}", log_file


def replica(folder: Path, port: int = 0) -> contextlib.AbstractContextManager[Server]:
    """A server as the Dockerfile starts it, except for address and port."""
    options = [
        option for option in server_command()[5:] if not option.startswith(("--server.address=", "--server.port="))
    ]
    return serve(Path("hosted.py"), *options, folder=folder, port=port)


@contextlib.contextmanager
def _nginx(folder: Path, log_file: Path, port: int) -> Iterator[None]:
    with log_file.open("wb") as log, (folder / "error.log").open("wb") as errors:
        process = subprocess.Popen(
            [str(NGINX), "-c", str(folder / "nginx.conf"), "-e", "stderr", "-g", "daemon off;"],
            stdout=log,
            stderr=errors,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx does not start:\n{(folder / 'error.log').read_text('utf-8')}")
            time.sleep(0.05)  # between two questions to an nginx that starts
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
