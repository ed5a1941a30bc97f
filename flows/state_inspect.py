"""What a state folder holds, for people: the run it is of, its files, its customers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from flows.state_files import KeptShard, kept_shard, runtime_folder
from flows.state_rules import FolderRules
from operators.survey import CUSTOMERS, Survey, is_scored, kinds_of, read_rows, rules_id
from operators.tables import RowTables
from rules.durations import parse_duration_ms
from rules.plan import ModelPlan
from state.calendar import wall_time_text
from state.log import TIME_SHIFT
from state.row_snapshots import Newest
from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS
from state.shard_reader import FileInfo
from state.state_folder import FORMAT_FILE, StateFolder

_PLAIN_WIDTH = 120


@dataclass(slots=True)
class Inspection:
    """What there is in a folder.

    ``running``: the models that a run would go on with, null if not known. ``files``: by shard. ``oldest_ms``: by kind
    of rows, the oldest event in any window, where the rules are known.
    """

    folder: StateFolder
    running: dict[str, ModelPlan] | None = None
    files: dict[str, list[FileInfo]] = field(default_factory=dict)
    survey: Survey = field(default_factory=Survey)
    oldest_ms: dict[str, int] = field(default_factory=dict)
    logs: Counter[str] = field(default_factory=Counter)


def inspect(folder: StateFolder, rules: FolderRules) -> Inspection:
    """Look at everything; what is in logs only where the rules are known.

    Raises
    ------
    StateError
        A file is damaged or missing.
    """
    found = Inspection(folder, running=rules.running())
    dedup_ms = _dedup_ms(folder.about)
    for reader in folder.shards():
        found.files[reader.folder.name] = reader.files()
        shard = kept_shard(reader, None)
        if shard is not None:
            found.survey.add(shard.sections, dedup_ms, runs=rules.is_running(shard.name))
            _look_into_logs(found, shard, rules)
    return found


def _dedup_ms(about: dict[str, Any]) -> int | None:
    text = about.get("run", {}).get("--dedup")
    return parse_duration_ms(text) if isinstance(text, str) else None


def _look_into_logs(found: Inspection, shard: KeptShard, rules: FolderRules) -> None:
    for kind in kinds_of(shard.sections[-1]):
        newest = Newest()
        for sections in reversed(shard.sections):
            tables = rules.known_tables(rules_id(sections))
            if tables is None:
                return
            of = tables.rows_of(kind, scored=is_scored(sections))
            frame = read_rows(sections, kind)
            numbers, _ = newest.rows(frame)
            if of is not None and len(numbers) and frame.fixed.shape[1] == of.layout.row_words:
                times_ms = first_times_ms(of, frame.fixed[numbers], frame.pool)
                found.logs[kind] += int((times_ms < AFTER_ALL_MS).sum())
                oldest_ms = int(times_ms.min())
                if oldest_ms < AFTER_ALL_MS:
                    found.oldest_ms[kind] = min(oldest_ms, found.oldest_ms.get(kind, oldest_ms))


def first_times_ms(tables: RowTables, fixed: Any, pool: Any) -> Any:
    """By row, the time of the oldest event in its logs; ``AFTER_ALL_MS`` for a row that has none."""
    first = np.full(len(fixed), AFTER_ALL_MS)
    for header in tables.layout.headers:
        if header >= 0:
            blocks = fixed[:, header]
            times_ms = pool[np.minimum(blocks >> 8, len(pool) - 1)] >> TIME_SHIFT
            first = np.where(blocks != 0, np.minimum(first, times_ms), first)
    return first


# --- for people ------------------------------------------------------------------------------------------------------


def time_text(ts_ms: int) -> str:
    """An instant in UTC, or what a watermark stands for that is none."""
    if ts_ms <= BEFORE_ALL_MS:
        return "none: nothing was decided yet"
    return "the end: everything was decided" if ts_ms >= AFTER_ALL_MS else wall_time_text(ts_ms)


def show_inspection(found: Inspection) -> None:
    """Print everything as tables."""
    console = make_console()
    _show_run(console, found)
    _show_stages(console, found)
    _show_sections(console, found)
    _show_contents(console, found)
    if found.survey.models:
        _show_models(console, found)


def make_console() -> Console:
    """The console on standard output, wide enough where it is no terminal."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH, highlight=False, soft_wrap=True)


def _table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(columns))
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():  # filled with spaces up to the width
        console.print(line.rstrip(), markup=False)


def _show_run(console: Console, found: Inspection) -> None:
    about = found.folder.about
    run = about.get("run")
    rows = [("folder", str(found.folder.path)), ("format", str(_format(found.folder)))]
    rows += [(name, _argument_text(value)) for name, value in (run if isinstance(run, dict) else {}).items()]
    rows += [(name, str(about[name])) for name in ("rules", "policy", "shards", "entity_shards") if name in about]
    size = sum(path.stat().st_size for path in runtime_folder(found.folder).glob("*"))
    rows.append(("runtime's database", _bytes_text(size)))
    _table(console, "The run", ("", ""), rows, left=2)


def _format(folder: StateFolder) -> Any:
    """The version of the format, as the folder says itself."""
    return json.loads((folder.path / FORMAT_FILE).read_bytes())["format"]


def _argument_text(value: Any) -> str:
    try:
        several = json.loads(value)
    except (TypeError, ValueError):
        return str(value)
    return "\n".join(map(str, several)) if isinstance(several, list) else str(value)


def _show_stages(console: Console, found: Inspection) -> None:
    stages: dict[str, list[tuple[str, list[FileInfo]]]] = {}
    for name, files in found.files.items():
        stages.setdefault(name.rpartition("-")[0], []).append((name, files))
    rows = []
    for stage, shards in stages.items():
        files = [info for _, of in shards for info in of]
        newest = sorted(of[-1].version for _, of in shards if of)
        versions = (
            f"{newest[0]} to {newest[-1]}" if newest and newest[0] != newest[-1] else "".join(map(str, newest[:1]))
        )
        bases = sum(info.is_base for info in files)
        size = _bytes_text(sum(info.bytes for info in files))
        rows.append((stage, str(len(shards)), str(bases), str(len(files) - bases), versions or "-", size))
    _table(console, "Files by stage", ("stage", "shards", "bases", "deltas", "newest version", "bytes"), rows)


def _show_sections(console: Console, found: Inspection) -> None:
    sizes: Counter[tuple[str, str]] = Counter()
    for name, files in found.files.items():
        for info in files:
            for section, size in info.sections.items():
                sizes[name.rpartition("-")[0], section.partition(".")[0]] += size
    rows = [(stage, section, _bytes_text(size)) for (stage, section), size in sorted(sizes.items())]
    _table(console, "Bytes by what they are", ("stage", "section", "bytes"), rows, left=2)


def _show_contents(console: Console, found: Inspection) -> None:
    survey = found.survey
    labels = (
        ("profile", "with a profile"), ("contacts", "with contacts (cooldowns, caps)"), ("tickets", "with tickets"),
        ("open tickets", "with open tickets"), ("armed", "with armed deadlines"), ("held", "with held decisions"),
        ("shadows", "with what rules in shadow would have done"),
    )  # fmt: skip
    rows = [("customers", f"{survey.rows:,}")]
    if CUSTOMERS in found.logs:
        rows.append(("  with events in a window", f"{found.logs[CUSTOMERS]:,}"))
    rows += [(f"  {label}", f"{survey.customers[part]:,}") for part, label in labels]
    rows += [(f"entities: {kind}", f"{n:,}") for kind, n in sorted(survey.entities.items())]
    if found.survey.models:
        rows.append(("customers that models know", f"{found.survey.scored:,}"))
    rows.append(("events that wait for their turn", f"{survey.waiting:,}"))
    rows.append(("events known if they come again", f"{survey.remembered:,}"))
    if found.oldest_ms:
        rows.append(("oldest event in any window", time_text(min(found.oldest_ms.values()))))
    watermarks = survey.watermarks_ms
    rows.append(("watermark", time_text(min(watermarks)) if watermarks else "none: nothing was written yet"))
    _table(console, "Contents", ("", ""), rows)


def _show_models(console: Console, found: Inspection) -> None:
    running = None if found.running is None else {model.spec.name: model.spec for model in found.running.values()}
    rows = []
    for model in sorted(found.survey.models, key=lambda model: model.name):
        spec = None if running is None else running.get(model.name)
        what = "not known" if running is None else "no longer runs"
        if spec is not None:
            what = f"{spec.kind}, {spec.mode}, version {spec.version}"
        rows.append(
            (model.name, what, f"{model.seen:,}", f"{model.learned:,}", f"{model.waiting:,}",
             time_text(model.watermark_ms))
        )  # fmt: skip
    columns = ("model", "", "towards warm-up", "rows learned", "wait for labels", "watermark")
    _table(console, "Models", columns, rows, left=2)


def _bytes_text(size: int) -> str:
    return f"{size:,}"
