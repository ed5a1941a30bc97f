"""The synthetic bank in a process of its own, so that making events never holds up the sending of them."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from multiprocessing.connection import Connection
from queue import Empty, Queue
from time import time_ns
from types import TracebackType

from flows.simulate.endless import Block, endless_events

_BLOCKS_AHEAD = 64
"""Blocks kept ready (some 130,000 events, 50 MB): a new day of many customers takes the process a while."""

_PATIENCE_SECONDS = 0.2


class BankProcessError(Exception):
    """The process that makes the events ended."""


def serve(connection: Connection, customers: int, seed: int, prefix: str) -> None:
    """Send blocks for ever; ends when the other side is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they may go to both processes, and the other one ends this one
        signal.signal(number, signal.SIG_IGN)
    try:
        for block in endless_events(customers, seed, prefix, lambda: time_ns() // 1_000_000):
            connection.send(block)
    except (BrokenPipeError, ConnectionResetError):
        return


class BankProcess:
    """Starts the process and hands out its blocks; a context manager."""

    def __init__(self, customers: int, seed: int, prefix: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=serve, args=(sender, customers, seed, prefix), daemon=True)
        self.process.start()
        sender.close()  # so that the end of the process is seen here
        self._blocks: Queue[Block | None] = Queue(_BLOCKS_AHEAD)
        self._closing = False
        threading.Thread(target=self._receive, daemon=True).start()

    def __enter__(self) -> BankProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing = True
        self.process.kill()
        self.process.join()

    def next_block(self, stop: threading.Event) -> Block | None:
        """The next events; null if ``stop`` is set before they come.

        Raises
        ------
        BankProcessError
            There will be none, as the process ended.
        """
        while True:
            try:
                block = self._blocks.get(timeout=_PATIENCE_SECONDS)
                break
            except Empty:
                if stop.is_set():
                    return None
        if block is None:
            self.process.join()
            raise BankProcessError(f"the process that makes the events ended with exit code {self.process.exitcode}")
        return block

    def _receive(self) -> None:
        try:
            while not self._closing:
                self._blocks.put(self._receiver.recv())
        except (EOFError, OSError):
            self._blocks.put(None)
