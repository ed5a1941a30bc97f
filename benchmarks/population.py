"""Writes the benchmark's events: a population of uniform customers over all streams, in files by customer.

All files cover the same time, so an engine that reads them together has to merge them. The same options write the same
bytes on every machine. From the command line: ``python -m benchmarks.population --help``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.event_lines import EventLines
from benchmarks.event_times import Population, calendar

_CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class EventFiles:
    """Event files as they lie on disk. ``digest`` is over their bytes, file by file."""

    paths: tuple[Path, ...]
    events: int
    bytes: int
    digest: str


def chunks(population: Population) -> Iterator[list[str]]:
    """All lines in the order of arrival, some ten thousand at a time."""
    times = calendar(population)
    formatter = EventLines(population)
    for first in range(0, population.events, _CHUNK):
        yield formatter.lines(times, first, min(first + _CHUNK, population.events)).tolist()


def write_population(
    folder: Path, population: Population, partitions: int = 1, progress: Callable[[int], object] | None = None
) -> EventFiles:
    """Write ``events-0.ndjson`` and so on; ``progress`` is told how many events are done.

    Files that an earlier call with the same options finished are kept as they are.
    """
    note = folder / "events.json"
    options = asdict(population) | {"partitions": partitions, "generator": _generator_digest()}
    paths = tuple(folder / f"events-{number}.ndjson" for number in range(partitions))
    if note.exists():
        known = json.loads(note.read_bytes())
        if known["options"] == options and all(path.exists() for path in paths):
            return EventFiles(paths, population.events, known["bytes"], known["digest"])
        note.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    digests = [hashlib.blake2b(digest_size=8) for _ in paths]
    size = done = 0
    files = [path.open("wb") for path in paths]
    try:
        times, formatter = calendar(population), EventLines(population)
        for first in range(0, population.events, _CHUNK):
            last = min(first + _CHUNK, population.events)
            lines = formatter.lines(times, first, last)
            places = times.customer[first:last] % partitions
            for number, file in enumerate(files):
                data = "".join(lines[places == number].tolist()).encode()
                digests[number].update(data)
                size += file.write(data)
            done = last
            if progress is not None:
                progress(done)
    finally:
        for file in files:
            file.close()
    digest = hashlib.blake2b("".join(d.hexdigest() for d in digests).encode(), digest_size=8).hexdigest()
    note.write_text(json.dumps({"options": options, "bytes": size, "digest": digest}) + "\n", encoding="utf-8")
    return EventFiles(paths, population.events, size, digest)


def _generator_digest() -> str:
    """A digest of the modules that make events: files of another version are not taken for ours."""
    here = Path(__file__).parent
    sources = [*(here / f"{name}.py" for name in ("population", "event_lines", "event_times", "draws", "vocabulary"))]
    sources.append(here.parent / "flows" / "simulate" / "vocabulary.py")
    return hashlib.blake2b(b"".join(path.read_bytes() for path in sources), digest_size=8).hexdigest()


def main() -> None:
    """Write event files from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.population", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--events-each", type=int, default=20, help="events of each customer (20)")
    parser.add_argument("--days", type=int, default=20, help="days over which they spread (20)")
    parser.add_argument("--partitions", type=int, default=2, help="files, by customer (2)")
    parser.add_argument("--jitter-ms", type=int, default=2_000, help="events arrive up to so much late (2000)")
    parser.add_argument("--seed", type=int, default=20_260_301)
    options = parser.parse_args()
    population = Population(
        options.customers, options.events_each, options.days, options.seed, jitter_ms=options.jitter_ms
    )
    started = perf_counter()
    written = write_population(options.out, population, options.partitions)
    seconds = perf_counter() - started
    print(
        f"{written.events:,} events, {written.bytes:,} bytes, digest {written.digest}, "
        f"{written.events / seconds:,.0f} events/s"
    )


if __name__ == "__main__":
    main()
