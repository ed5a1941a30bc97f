"""`cem run`: the engine live."""

from __future__ import annotations

import logging
import os
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from config.settings import LiveSettings
    from rules.model import RuleSet
    from rules.policy import Policy

_LOG = logging.getLogger(__name__)

WRONG_INPUT, WRONG_USAGE, FAILED = 1, 2, 3


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


def run(
    config: Annotated[Path, typer.Option(readable=False, help="The settings, such as config/live.yaml.")],
    workers: Annotated[int, typer.Option(min=1, max=16, help="Number of processes on this machine.")] = 1,
    hosts: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,…", help="All processes of a cluster of several hosts; each host starts one of them."
        ),
    ] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Which of --hosts this one is, from 0.")] = None,
) -> None:
    """Run live: from Kafka to Kafka, ClickHouse and Redis, until SIGTERM or Ctrl-C."""
    from flows.cluster import ClusterError
    from flows.failures import known_failure
    from flows.kernels import warm_up
    from flows.live.logs import set_up_logs
    from flows.live.start import other_rules, start
    from flows.live.supervisor import Place, Supervisor, stop_on_signals

    addresses = _addresses(hosts, index, workers)
    count = len(addresses) or workers
    _check_count(count)
    settings, rules, policy = load_live(config)
    clickhouse = settings.sinks.clickhouse
    if clickhouse is not None and clickhouse.path is not None and count > 1:
        _fail(
            f"{config}: sinks.clickhouse.path: the embedded engine can be used by one process only, and there are "
            f"{count}; give sinks.clickhouse.url, or run with --workers 1", WRONG_INPUT,
        )  # fmt: skip
    log = settings.log
    set_up_logs(log.level, log.format, mask=log.mask, key=log.mask_key)
    stop = threading.Event()
    restore = stop_on_signals(stop)
    place = Place(range(workers)) if not addresses else Place([index or 0], addresses)
    try:
        warm_up()
        with start(rules, policy, settings, count, index or 0, stop) as job:
            if job is not None:
                Supervisor(job, place, stop, refuse=partial(other_rules, job)).run()
                _LOG.info("stopped; the next start goes on from %s", job.state)
    except ClusterError as error:
        _fail(f"cem run: {error}", FAILED)
    except Exception as error:
        known = known_failure(error)
        if known is None:
            raise
        _fail(f"cem run: {known}", FAILED)
    finally:
        restore()


def _addresses(hosts: str | None, index: int | None, workers: int) -> list[str]:
    """The addresses given; empty without them."""
    if (hosts is None) != (index is None):
        raise typer.BadParameter("--hosts and --index go together: all addresses, and which of them this process is")
    if hosts is None or index is None:
        return []
    if workers != 1:
        raise typer.BadParameter("--workers is for one machine: with --hosts, name one address for each process")
    addresses = [address.strip() for address in hosts.split(",")]
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise typer.BadParameter(f"--hosts: {address!r} is no HOST:PORT")
    if len(set(addresses)) < len(addresses):
        raise typer.BadParameter("--hosts: an address stands twice")
    if index >= len(addresses):
        raise typer.BadParameter(
            f"--index {index}: there are {len(addresses)} hosts, the last has {len(addresses) - 1}"
        )
    return addresses


def _check_count(processes: int) -> None:
    """Refuse a number of processes of which some would have no shard."""
    from flows.shard_keys import LIVE_PROCESSES

    if processes not in LIVE_PROCESSES:
        raise typer.BadParameter(
            f"{processes} processes: there are 16 shards of customers, so that some would have none; use 1 to 8, or 16"
        )


def load_live(config: Path) -> tuple[LiveSettings, RuleSet, Policy]:
    """Settings, rules and policy of a live run, or every problem on stderr and exit code 1."""
    from config.settings import SettingsError, load_settings
    from flows.loading import load
    from operators.annotate import default_annotator
    from state.text_model import TextModelError

    try:
        settings = load_settings(config)
    except SettingsError as error:
        _fail(str(error), WRONG_INPUT)
    _check_files(config, settings)
    if settings.text_model is not None:
        try:
            default_annotator(settings.text_model)
        except TextModelError as error:
            _fail(str(error), WRONG_INPUT)
    loaded = load(settings.rules, settings.policy, settings.models or None)
    if loaded.rules is None:
        _fail("\n".join(map(str, loaded.problems)), WRONG_INPUT)
    return settings, loaded.rules, loaded.policy


def _check_files(config: Path, settings: LiveSettings) -> None:
    """Report rule and policy files that are not there, each where the settings name it."""
    from config.problems import Problem
    from config.yaml_document import KeyPath, read_document

    named: list[tuple[KeyPath, Path]] = [(("rules", number), path) for number, path in enumerate(settings.rules)]
    named += [(("models", number), path) for number, path in enumerate(settings.models)]
    if settings.policy is not None:
        named.append((("policy",), settings.policy))
    if settings.text_model is not None:
        named.append((("text_model",), settings.text_model))
    missing = [(key, path) for key, path in named if not path.exists()]
    if missing:
        document = read_document(config, os.environ)
        hint = "paths are relative to the settings file"
        found = [
            Problem(str(config), document.value_place(key), f"there is no file {path}", hint) for key, path in missing
        ]
        _fail("\n".join(map(str, found)), WRONG_INPUT)
