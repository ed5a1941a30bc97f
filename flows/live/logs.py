"""What is logged: one line for each record on standard error, without personal data and passwords.

Fields are given with ``extra``; those that hold a customer's id or a message are masked, whoever logs them:

    logger.info("decided", extra={"customer_id": "C1", "rule": "prepay"})

Text that holds an id in its middle can't be told from other text: put ids into fields, or through `mask_id`.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import Any, TextIO

from pydantic import SecretStr

ID_FIELDS = frozenset({"customer_id", "customer", "key"})
"""Fields that hold the id of a customer."""

MESSAGE_FIELDS = frozenset({"raw", "line", "event", "row", "value", "payload", "profile", "text"})
"""Fields that hold a message, or what a customer wrote."""

_OWN_PACKAGES = ("config", "flows", "operators", "rules", "sinks", "state")
_QUIET = ("urllib3", "clickhouse_connect", "numba", "asyncio")
_REPEATING = ("librdkafka", "flows.live.reader", "sinks.kafka_publisher")
"""What they tell of a broker that is away comes with every attempt to connect: some 40 lines a second, measured."""
_REPEAT_SECONDS, _MOST_TEXTS = 30.0, 1_000
_ATTEMPT = re.compile(r" \(after \d+ms .*$")

_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]+@")
_PASSWORD = re.compile(
    r"(?i)\b((?:\w+[._-])?(?:password|passwd|secret|token)\b['\"]?\s*[=:]\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,;}&]+)"
)
_ROW_TEXT = re.compile(r"(?i)\b(before|near|row|value|data|raw|line|parse input)\b(\s*[:=]?\s*)[`'\"{].*", re.DOTALL)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

MaskId = Callable[[str], str]


def masker(key: bytes | None = None) -> MaskId:
    """A function that gives the same short name for the same id, from which nobody without ``key`` finds the id.

    Without a key a random one is taken, so names differ from process to process and from start to start.
    """
    return partial(_masked, secrets.token_bytes(32) if key is None else blake2b(key).digest())


def _masked(key: bytes, customer_id: str) -> str:
    return "c-" + blake2b(customer_id.encode("utf-8", "surrogatepass"), digest_size=6, key=key).hexdigest()


def clear(customer_id: str) -> str:
    """The id itself, where nothing is masked."""
    return customer_id


def without_passwords(text: str) -> str:
    """``text`` without the credentials of URLs and without what follows ``password=`` and the like.

    >>> without_passwords("GET http://me:hunter2@host/x?password=hunter2&y=1")
    'GET http://***@host/x?password=***&y=1'
    """
    return _PASSWORD.sub(r"\1***", _CREDENTIALS.sub("***@", text))


class Formatter(logging.Formatter):
    """Makes one line of a record: ``json``, or ``text`` for people. ``mask_id`` None: nothing is masked."""

    def __init__(self, format: str = "json", mask_id: MaskId | None = None, worker: int | None = None) -> None:
        super().__init__()
        self._json, self._mask_id, self._worker = format == "json", mask_id, worker

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, without its end."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._text(_message(record)),
        }
        if self._worker is not None:
            line["worker"] = self._worker
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line |= {name: self._field(name, value) for name, value in fields.items() if name not in line}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = self._exception(record.exc_info[1])
        if self._json:
            return json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)
        return _for_people(line)

    def _text(self, text: str) -> str:
        text = without_passwords(text)
        return text if self._mask_id is None else _ROW_TEXT.sub(r"\1\2(not shown)", text)

    def _field(self, name: str, value: Any) -> Any:
        if self._mask_id is not None and value is not None:
            if name in ID_FIELDS:
                return self._mask_id(str(value))
            if name in MESSAGE_FIELDS:
                return f"({len(value) if isinstance(value, str | bytes) else len(str(value))} characters, not shown)"
        if isinstance(value, dict):
            return {str(inner): self._field(str(inner), item) for inner, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._field(name, item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))

    def _exception(self, error: BaseException) -> str:
        """The traceback; masked, without the texts of exceptions that are not ours, which quote what they met."""
        if self._mask_id is None:
            return without_passwords("".join(traceback.format_exception(error)))
        frames = [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(error.__traceback__)]
        cause = error.__cause__ or error.__context__
        because = f" because of {type(cause).__name__}" if cause is not None else ""
        ours = type(error).__module__.partition(".")[0] in _OWN_PACKAGES or isinstance(error, OSError)
        what = f"{type(error).__name__}: {self._text(str(error))}" if ours else type(error).__name__
        return f"{what}{because} at {' < '.join(reversed(frames))}"


class OnceInAWhile(logging.Filter):
    """Lets what Kafka's clients repeat pass once in half a minute, with how often it was said meanwhile."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged."""
        if record.name not in _REPEATING:
            return True
        text, now = (record.name, _ATTEMPT.sub("", _message(record))), self._clock()
        at, times = self._said.get(text, (None, 0))
        if at is not None and now - at < _REPEAT_SECONDS:
            self._said[text] = at, times + 1
            return False
        if len(self._said) >= _MOST_TEXTS:
            self._said.clear()
        self._said[text] = now, 0
        if times:
            record.repeated = times
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a library's mistake in its own arguments must not stop the flow
        return str(record.msg)


def _for_people(line: dict[str, Any]) -> str:
    worker = f" worker {line.pop('worker')}" if "worker" in line else ""
    exception = line.pop("exception", None)
    head = f"{line.pop('at')} {line.pop('level').upper()}{worker} {line.pop('logger')}: {line.pop('message')}"
    fields = "".join(f" {name}={value}" for name, value in line.items())
    text = " ".join(f"{head}{fields}".splitlines())
    return text if exception is None else f"{text}\n{exception.rstrip()}"


def set_up_logs(
    level: str = "info", format: str = "json", *, mask: bool = True, key: SecretStr | None = None,
    worker: int | None = None, stream: TextIO | None = None,
) -> MaskId:  # fmt: skip
    """Send everything that is logged in this process to ``stream`` (standard error), and nowhere else.

    The parameters are those of the settings' `log`. Returns what makes names of ids for text: the mask, or without
    masking the id itself.
    """
    mask_id = masker(None if key is None else key.get_secret_value().encode()) if mask else None
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter(format, mask_id, worker))
    handler.addFilter(OnceInAWhile())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:  # each of their requests would be a line
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    threading.excepthook = _log_end_of_thread
    return mask_id or clear


def _log_end_of_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is not None and not isinstance(end.exc_value, SystemExit):
        name = end.thread.name if end.thread is not None else "?"
        information = (end.exc_type, end.exc_value, end.exc_traceback)
        logging.getLogger(__name__).error("thread %s has ended", name, exc_info=information)
