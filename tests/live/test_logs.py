"""Logs: one object a line, and nothing personal and no password in clear."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from flows.live.logs import MaskId, OnceInAWhile, masker, set_up_logs, without_passwords
from sinks.contract import SinkError

Start = Callable[..., MaskId]
CUSTOMER = "C-6201-Zhang"
RAW = '{"event_id":"e1","customer_id":"C-6201-Zhang","text":"我要投诉"}'


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def start(out: io.StringIO) -> Iterator[Start]:
    root = logging.getLogger()
    before, level, hook = root.handlers[:], root.level, threading.excepthook
    yield lambda **settings: set_up_logs(**settings, stream=out)
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)
    threading.excepthook = hook
    logging.captureWarnings(False)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_object(start: Start, out: io.StringIO) -> None:
    start(worker=3)
    logging.getLogger("flows.live.x").warning("away: %s\nsecond line", "kafka", extra={"sink": "kafka", "attempts": 2})
    (line,) = lines(out)
    at = line.pop("at")
    assert line == {
        "level": "warning", "logger": "flows.live.x", "message": "away: kafka\nsecond line", "worker": 3,
        "sink": "kafka", "attempts": 2,
    }  # fmt: skip
    assert at.endswith("Z")
    assert len(at) == len("2026-01-01T00:00:00.000Z")


def test_the_level_holds_and_nothing_is_said_twice(start: Start, out: io.StringIO) -> None:
    start(level="warning")
    start(level="warning")
    logging.getLogger("a").info("no")
    logging.getLogger("a").error("yes")
    logging.getLogger("urllib3").info("no")
    assert [line["message"] for line in lines(out)] == ["yes"]


def test_ids_and_messages_are_masked_wherever_a_field_holds_them(start: Start, out: io.StringIO) -> None:
    mask_id = start()
    fields = {
        "customer_id": CUSTOMER, "raw": RAW, "sink": "kafka",
        "of": {"customer": CUSTOMER, "n": 1}, "payload": [RAW, 3], "key": CUSTOMER.encode(),
    }  # fmt: skip
    logging.getLogger("a").info("x", extra=fields)
    (line,) = lines(out)
    assert CUSTOMER not in out.getvalue()
    assert "投诉" not in out.getvalue()
    assert line["customer_id"] == line["of"]["customer"] == mask_id(CUSTOMER)
    assert line["raw"] == f"({len(RAW)} characters, not shown)"
    assert (line["sink"], line["of"]["n"]) == ("kafka", 1)


def test_without_the_mask_all_is_shown(start: Start, out: io.StringIO) -> None:
    assert start(mask=False)(CUSTOMER) == CUSTOMER
    logging.getLogger("a").info("x", extra={"customer_id": CUSTOMER, "raw": RAW})
    (line,) = lines(out)
    assert (line["customer_id"], line["raw"]) == (CUSTOMER, RAW)


def test_a_mask_is_the_same_for_the_same_key_only() -> None:
    assert masker(b"key")(CUSTOMER) == masker(b"key")(CUSTOMER)
    assert masker(b"key")(CUSTOMER) != masker(b"other")(CUSTOMER)
    assert masker()(CUSTOMER) != masker()(CUSTOMER)
    assert masker(b"k" * 1000)("\ud800") != masker(b"k" * 1000)("")


def test_the_key_of_the_settings_makes_the_mask(start: Start) -> None:
    assert start(key=SecretStr("k"))(CUSTOMER) == masker(b"k")(CUSTOMER)


@pytest.mark.parametrize(
    "text",
    [
        "connect to redis://user:hunter2@host:6379/0 failed",
        "http://hunter2@host/",
        "http://me:x@hunter2@host/",
        "sasl.password=hunter2, x=1",
        "{'sasl.password': 'hunter2'}",
        '{"ssl.key.password": "hunter2"}',
        "password: hunter2",
        "https://h:8443/?user=a&password=hunter2&database=b",
    ],
)
@pytest.mark.parametrize("mask", [True, False])
def test_passwords_are_never_shown(start: Start, out: io.StringIO, text: str, mask: bool) -> None:
    start(mask=mask)
    logger = logging.getLogger("a")
    logger.warning(text)
    logger.warning("failed: %s", text, extra={"error": text, "more": [text]})
    try:
        raise SinkError(text)
    except SinkError:
        logger.exception("it failed")
    assert len(lines(out)) == 3
    assert "hunter2" not in out.getvalue()


def test_other_text_is_left_alone() -> None:
    for text in ("localhost:9092 is away", "see http://host:8123/path?x=1", "mail a@b", "the password is wrong"):
        assert without_passwords(text) == text


def test_rows_that_a_server_quotes_are_not_shown(start: Start, out: io.StringIO) -> None:
    start()
    error = f"Code: 27. DB::Exception: Cannot parse input: expected ',' before: '{RAW}'"
    logging.getLogger("a").warning("away", extra={"error": error})
    assert lines(out)[0]["error"] == "Code: 27. DB::Exception: Cannot parse input: expected ',' before: (not shown)"


def failing(error: BaseException) -> None:
    raise error


def test_exceptions_of_others_are_named_without_their_text(start: Start, out: io.StringIO) -> None:
    start()
    for error in (KeyError(CUSTOMER), SinkError("clickhouse: no such table; create it"), OSError(28, "No space left")):
        try:
            failing(error)
        except Exception:
            logging.getLogger("a").exception("failed")
    first, own, system = (line["exception"] for line in lines(out))
    assert first.startswith("KeyError at ")
    assert "test_logs.py" in first
    assert " failing < " in first
    assert own.startswith("SinkError: clickhouse: no such table; create it at ")
    assert "No space left" in system
    assert CUSTOMER not in out.getvalue()


def test_without_the_mask_the_whole_traceback_is_there(start: Start, out: io.StringIO) -> None:
    start(mask=False)
    try:
        failing(KeyError(CUSTOMER))
    except KeyError:
        logging.getLogger("a").exception("failed")
    assert f"KeyError: '{CUSTOMER}'" in lines(out)[0]["exception"]


def test_the_format_for_people(start: Start, out: io.StringIO) -> None:
    mask_id = start(format="text", worker=1)
    logging.getLogger("a.b").warning("two\nlines", extra={"customer_id": CUSTOMER})
    (line,) = out.getvalue().splitlines()
    assert line.partition(" ")[2] == f"WARNING worker 1 a.b: two lines customer_id={mask_id(CUSTOMER)}"


def test_warnings_ends_of_threads_and_wrong_arguments_are_lines_too(start: Start, out: io.StringIO) -> None:
    start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    thread = threading.Thread(target=failing, args=(KeyError(CUSTOMER),), name="poll")
    thread.start()
    thread.join()
    logging.getLogger("a").info("%d of %d", 1)  # noqa: PLE1206 - the mistake is the point
    warned, ended, wrong = lines(out)
    assert "old" in warned["message"]
    assert (ended["message"], ended["level"]) == ("thread poll has ended", "error")
    assert ended["exception"].startswith("KeyError at ")
    assert wrong["message"] == "%d of %d"
    assert sys.stderr is not out


def test_what_clients_of_a_broker_that_is_away_repeat_is_a_line_at_first(start: Start, out: io.StringIO) -> None:
    start()
    failure = "FAIL b:9092: Connect to b:9092 failed: Connection refused (after %dms in state CONNECT)"
    for took_ms in range(50):
        logging.getLogger("librdkafka").error(failure, took_ms)
        again = f"{failure[:-1]}, {took_ms} identical error(s) suppressed)"
        logging.getLogger("flows.live.reader").info("Kafka: %s", again % took_ms)
        logging.getLogger("flows.live.run").info("ours")
    logging.getLogger("librdkafka").error(failure.replace("b:", "c:"), 1)
    assert len(out.getvalue().splitlines()) == 1 + 1 + 50 + 1


def test_it_is_a_line_again_after_half_a_minute() -> None:
    now = [0.0]
    repeats, passed = OnceInAWhile(lambda: now[0]), []
    for second in range(95):
        now[0] = float(second)
        record = logging.makeLogRecord({"name": "librdkafka", "msg": f"away (after {second}ms in state CONNECT)"})
        if repeats.filter(record):
            passed.append((second, getattr(record, "repeated", 0)))
    assert passed == [(0, 0), (30, 29), (60, 29), (90, 29)]
