"""Processes that are started together end together, whichever way one of them ends."""

import socket

import pytest

from flows import cluster
from flows.cluster import ClusterError, free_addresses, report_path, run_cluster
from flows.failures import failure_message, known_failure, watched
from flows.lines import SourceError
from sinks.files import SinkError

# What a process does is said by the lines of the file `job` in the scratch folder: one for each process.
WORKER = """
import os, pathlib, signal, sys, threading
scratch, index, *addresses = sys.argv[1:]
exec((pathlib.Path(scratch) / "job").read_text().splitlines()[int(index)])
"""
FOR_EVER = "threading.Event().wait()"


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Runs processes that do what is said; the processes and what reached a person's terminal are looked at."""
    (tmp_path / "a_worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = []
    popen = cluster.subprocess.Popen

    def note(*args, **options):
        started.append(popen(*args, **options))
        return started[-1]

    monkeypatch.setattr(cluster.subprocess, "Popen", note)

    def run(*deeds):
        (tmp_path / "job").write_text("\n".join(deeds))
        try:
            run_cluster(tmp_path, len(deeds), "a_worker")
        finally:
            assert len(started) % len(deeds) == 0
            assert started
            assert all(process.returncode is not None for process in started)
            assert capfd.readouterr() == ("", "")

    return run


def test_all_are_told_all_addresses(run, tmp_path):
    deed = "print(*addresses); (pathlib.Path(scratch) / index).write_text(' '.join(addresses))"
    run(deed, deed)
    first, second = ((tmp_path / name).read_text() for name in "01")
    assert first == second
    assert len(set(first.split())) == 2


@pytest.mark.parametrize("at", [0, 1])
def test_one_that_fails_ends_the_others(run, at):
    deeds = [FOR_EVER, FOR_EVER]
    deeds[at] = "print('retrying'); sys.exit('what it said')"
    with pytest.raises(
        ClusterError, match=r"ended with code 1; it said:\nretrying\nwhat it said|what it said\nretrying"
    ):
        run(*deeds)


def test_a_failure_with_a_message_goes_before_all_else(run, tmp_path):
    report_path(tmp_path, 0, known=False).write_text("Traceback …")
    report_path(tmp_path, 1, known=True).write_text("e.gz: cut off\n")
    with pytest.raises(ClusterError) as caught:
        run("os.kill(os.getpid(), 9)", FOR_EVER)
    assert str(caught.value) == "e.gz: cut off"


def test_a_killed_process_is_named_rather_than_those_that_it_brought_down(run, tmp_path):
    report_path(tmp_path, 0, known=False).write_text("Traceback …")
    with pytest.raises(ClusterError, match=r"was killed \(SIGKILL\)"):
        run(FOR_EVER, "os.kill(os.getpid(), signal.SIGKILL)")


def test_an_abort_of_the_runtime_shows_the_traceback_that_led_to_it(run, tmp_path):
    report_path(tmp_path, 1, known=False).write_text("Traceback …")
    with pytest.raises(ClusterError, match="Traceback …"):
        run(FOR_EVER, "os.kill(os.getpid(), signal.SIGABRT)")


def test_standard_input_stays_open_as_long_as_the_cluster_runs(run):
    with pytest.raises(ClusterError, match="code 4"):
        run("os.read(0, 1); sys.exit(5)", "sys.exit(4)")


def test_an_interrupt_ends_all(run, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(FOR_EVER, FOR_EVER)


def test_an_address_that_somebody_else_took_is_tried_anew(run, tmp_path):
    said = "failed to initialize networking: Address already in use"
    count = "log = pathlib.Path(scratch) / 'tries'; log.open('a').write('x'); tries = len(log.read_text())"
    report = "(pathlib.Path(scratch) / 'traceback-0').write_text"
    run(f"{count}; tries < 3 and ({report}('{said}'), sys.exit(3))", "pass")
    assert (tmp_path / "tries").read_text() == "xxx"
    assert not report_path(tmp_path, 0, known=False).exists()
    with pytest.raises(ClusterError, match=said):
        run(f"{report}('{said}'); sys.exit(3)", FOR_EVER)


def test_who_listens_is_waited_for_and_not_connected_to(monkeypatch):
    polls = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def listen_at_last(_):
            polls.append(1)
            if len(polls) == 3:
                listener.listen()

        monkeypatch.setattr(cluster, "sleep", listen_at_last)
        cluster.wait_for_listeners([address])
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert len(polls) == 3


def test_who_never_listens_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(cluster, "_LISTENERS_SECONDS", 0.02)
    cluster.wait_for_listeners(cluster.free_addresses(1))


def test_addresses_are_free_and_different():
    addresses = free_addresses(8)
    assert len(set(addresses)) == 8
    for address in addresses:
        host, port = address.split(":")
        with socket.socket() as s:
            s.bind((host, int(port)))


# --- watched calls -------------------------------------------------------------------------------


class Part:
    def __init__(self, error):
        self.error = error

    def next_batch(self):
        raise self.error


class Source:
    def __init__(self, error):
        self.error = error

    def build_part(self, name):
        return Part(self.error)


def test_a_watched_part_reports_what_it_raises_before_the_runtime_gets_it():
    reported = []
    error = SourceError("cut off")
    part = watched(Source(error), reported.append, "build_part", "next_batch").build_part("a")
    with pytest.raises(SourceError):
        part.next_batch()
    assert reported == [error]


def test_the_end_of_a_source_is_no_failure():
    reported = []
    part = watched(Source(StopIteration()), reported.append, "build_part", "next_batch").build_part("a")
    with pytest.raises(StopIteration):
        part.next_batch()
    assert reported == []


def test_without_a_report_nothing_is_watched():
    source = watched(Source(None), None, "build_part")
    assert "build_part" not in vars(source)


@pytest.mark.parametrize("kind", [SourceError, SinkError, ClusterError])
def test_a_known_failure_is_found_under_what_the_runtime_makes_of_it(kind):
    error = RuntimeError("error in operator")
    error.__cause__ = KeyError("in between")
    error.__cause__.__context__ = kind("which file and why")
    assert str(known_failure(error)) == "which file and why"
    assert failure_message(error) == "which file and why"


def test_an_unknown_failure_keeps_its_traceback():
    error = ValueError("should not happen")
    assert known_failure(error) is None
    assert "ValueError: should not happen" in failure_message(error)
