"""A progress bar over the bytes of the event files, on stderr, where a person looks at a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from flows.board import Board

_INTERVAL_SECONDS = 0.2


def say(text: str) -> None:
    """A line on stderr, now."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def show_progress(files: Sequence[Path], title: str) -> Iterator[Callable[[Board], None] | None]:
    """Give the function that starts the bar on a board; nothing is shown where stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(), console=console, transient=True,
    )  # fmt: skip
    task = bar.add_task(title, total=sum(file.stat().st_size for file in files if file.exists()), rate="")
    done = threading.Event()
    threads: list[threading.Thread] = []

    def follow(board: Board) -> None:
        started = perf_counter()

        def update() -> None:
            while not done.wait(_INTERVAL_SECONDS):
                events = board.events
                rate = f"{events:,} events, {events / (perf_counter() - started):,.0f}/s"
                bar.update(task, completed=board.bytes_read, rate=rate)

        threads.append(threading.Thread(target=update, daemon=True))
        threads[0].start()

    with bar:
        try:
            yield follow
        finally:
            done.set()
            for thread in threads:
                thread.join()


@contextmanager
def show_days(days: int) -> Iterator[Callable[[int], None]]:
    """Give the function that moves a bar to a number of days; nothing is shown where stderr is no terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("simulate", total=days)
        yield lambda done: bar.update(task, completed=done)
