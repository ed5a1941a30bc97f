"""``python -m flows.services start|stop|status``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flows.services.control import BOTH, KAFKA_PORT, REDIS_PORT, Wanted, start, stop
from flows.services.process import ServiceError
from flows.services.record import RECORD, Record, read_record


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m flows.services", description="Kafka and Redis on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "start": "start what does not run yet, with the data it had",
        "stop": "stop; the data stay",
        "status": "say what runs",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--dir", type=Path, default=Path(".services"), help="data, logs and %(default)s/" + RECORD)
        if name != "status":
            command.add_argument("--only", choices=BOTH, help="only this one")
        if name == "start":
            command.add_argument("--brokers", type=int, choices=range(1, 10), metavar="N", help="Kafka brokers (1)")
            command.add_argument("--port", type=int, help=f"of the first broker ({KAFKA_PORT}); 0: any free ones")
            command.add_argument("--redis-port", type=int, help=f"({REDIS_PORT}); 0: any free one")
            command.add_argument("--replication", type=int, help="copies of each partition (1)")
            command.add_argument("--kind", choices=("kafka", "tansu"), help="tansu: a broker in memory, without Java")
            command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="setting of Kafka")
    return parser


def _shown(record: Record) -> str:
    lines = []
    if kafka := record.kafka:
        up = sum(broker.alive for broker in kafka.brokers)
        state = "runs" if up == len(kafka.brokers) else f"{up} of {len(kafka.brokers)} brokers run" if up else "stopped"
        lines.append(f"kafka  {kafka.bootstrap}  {state}" + ("  (tansu: in memory)" if kafka.kind == "tansu" else ""))
    if redis := record.redis:
        lines.append(f"redis  {redis.url}  {'runs' if redis.server.alive else 'stopped'}")
    return "\n".join(lines) or "no servers here yet"


def _exports(record: Record) -> list[str]:
    """What `config/live.yaml` must be told where the ports are not the usual ones."""
    lines = []
    if (kafka := record.kafka) and kafka.brokers[0].alive and kafka.brokers[0].port != KAFKA_PORT:
        lines.append(f"export CEM_KAFKA={kafka.bootstrap}")
    if (redis := record.redis) and redis.server.alive and redis.server.port != REDIS_PORT:
        lines.append(f"export CEM_REDIS={redis.url}")
    return ["not the usual ports; for config/live.yaml, in every terminal:", *lines] if lines else []


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, or 1 if something could not be started or stopped."""
    given = _parser().parse_args(arguments)
    only = (given.only,) if getattr(given, "only", None) else BOTH
    try:
        if given.command == "start":
            properties = dict(setting.partition("=")[::2] for setting in given.set)
            wanted = Wanted(
                only, given.brokers, given.port, given.redis_port, given.replication, given.kind, properties
            )
            record = start(given.dir, wanted)
            print("\n".join([_shown(record), *_exports(record)]))
        elif given.command == "stop":
            print(f"stopped: {', '.join(stop(given.dir, only)) or 'nothing ran'}")
        else:
            print(_shown(read_record(given.dir)))
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
