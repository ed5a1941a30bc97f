"""The demonstration from an empty folder to its last line: simulate, replay, load, show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import Progress

from flows.demo.explain import explain, pick_ticket
from flows.demo.further import suggestions
from flows.demo.load import load
from flows.demo.lock import locked
from flows.demo.score import STORY_RULES, score
from flows.demo.show import Show, make_console
from flows.demo.spoil import spoil
from flows.kernels import warm_up
from flows.progress import show_days, show_progress
from flows.replay import ACTIONS, ReplayJob, replay
from flows.simulate import simulate
from flows.simulate.clock import DAY_MS, DEFAULT_START_MS
from flows.simulate.columns import STREAMS
from rules.load import load_rules
from rules.model import RuleSet
from rules.policy import Policy, load_policy
from sinks.clickhouse import Tables, open_embedded

EVENTS_PER_CUSTOMER_DAY = 3.5
STORY_RATE = 0.006


@dataclass(frozen=True, slots=True)
class DemoJob:
    """What to show. The same numbers and seed give the same data and the same decisions."""

    out: Path
    customers: int = 3000
    days: int = 36
    seed: int = 1
    workers: int = 1
    story_rate: float = STORY_RATE

    @property
    def database(self) -> Path:
        """The folder of the embedded ClickHouse."""
        return self.out / "clickhouse"


def demo_rules() -> tuple[RuleSet, Policy]:
    """The rules and the policy that the demonstration ships with."""
    packs = files("rules") / "packs"
    with as_file(packs / "demo.yaml") as path:
        rules, problems = load_rules([path])
    with as_file(packs / "demo-policy.yaml") as path:
        policy, policy_problems = load_policy(path)
    if rules is None or policy is None:
        raise AssertionError("\n".join(map(str, [*problems, *policy_problems])))
    return rules, policy


def run_demo(job: DemoJob, console: Console | None = None) -> dict[str, Any]:
    """Runs the whole demonstration, prints it, and returns the summary of the replay.

    Files of an earlier demonstration in the same folder are replaced, and nothing else there is touched. Raises
    InUseError while another run works in the folder.
    """
    with locked(job.out):
        return _run(job, Show(console or make_console()))


def _run(job: DemoJob, show: Show) -> dict[str, Any]:
    began = perf_counter()
    rules, policy = demo_rules()
    warm_up()
    paths, truth_path = _simulate(job, show)
    with _timed(show) as say:
        replay_job = ReplayJob(
            rules, tuple(paths), job.out / "decisions", policy, workers=job.workers,
            until_ms=DEFAULT_START_MS + job.days * DAY_MS,
        )  # fmt: skip
        with show_progress(paths, "replaying") as progress:
            summary = replay(replay_job, progress)
        say(f"replayed the events through {len(rules.rules)} rules")
    decisions, truth = _records(job.out / "decisions" / ACTIONS), _records(truth_path)
    with closing(open_embedded(job.database)) as client:
        tables = Tables(client)
        with _timed(show) as say:
            tables.drop()
            tables.create()
            with _bar("loading", sum(path.stat().st_size for path in paths)) as advance:
                rows = load(tables, paths, job.out / "decisions", advance)
            say(f"loaded {sum(rows.values()):,} rows into ClickHouse (embedded, no server)")
        show.heading("What happened")
        show.summary(summary, len(rules.rules), job.customers, job.days)
        show.heading("Decisions by rule and reason")
        show.decisions(summary, rules)
        show.heading("Was it right? Decisions against the stories hidden in the data (truth.ndjson)")
        show.scores(score(truth, decisions), rules)
        ticket = pick_ticket(decisions, STORY_RULES.values())
        if ticket is not None:
            show.heading("One ticket explained")
            rule = next(rule for rule in rules.rules if rule.id == ticket["rule_id"])
            show.explanation(explain(ticket, rule, decisions, truth, client, tables))
    show.heading("Look further")
    customer = "C0000000" if ticket is None else ticket["customer_id"]
    show.suggestions(suggestions(customer, job.out), job.out)
    show.line(f"Done in {perf_counter() - began:.0f} s.", "bold")
    return summary


def _simulate(job: DemoJob, show: Show) -> tuple[list[Path], Path]:
    """The event files (broken, duplicate and late messages among them) and the truth."""
    folder = job.out / "events"
    with _timed(show) as say:
        with show_days(job.days) as progress:
            report = simulate(
                folder, customers=job.customers, days=job.days, seed=job.seed, story_rate=job.story_rate,
                events_per_customer_day=EVENTS_PER_CUSTOMER_DAY, progress=progress,
            )  # fmt: skip
        truth = folder / "truth.ndjson"
        told = {event_id.encode() for record in _records(truth) for event_id in record["event_ids"]}
        mess = spoil(folder / "click.ndjson", job.seed, told)
        say(
            f"simulated {sum(report.events.values()):,} events with {sum(report.stories.values())} stories; added "
            f"{mess.broken} broken messages and {mess.duplicates} duplicates, delayed {mess.late}"
        )  # fmt: skip
    return [folder / f"{stream}.ndjson" for stream in STREAMS], truth


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@contextmanager
def _timed(show: Show) -> Iterator[Callable[[str], None]]:
    """Gives a function that prints what has been done, with the seconds it took."""
    began = perf_counter()
    yield lambda text: show.line(f"{perf_counter() - began:5.1f} s  {text}")


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
