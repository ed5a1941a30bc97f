"""The stand-in for a ClickHouse server: the real client finds in it what it finds in a server."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from live_clickhouse import ClickHouseFront

TABLE = "CREATE TABLE {} (id UInt64, text String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id"


@pytest.fixture
def front(clickhouse_front: ClickHouseFront) -> ClickHouseFront:
    client = clickhouse_front.client()
    client.command(TABLE.format("t"))
    client.close()
    return clickhouse_front


def insert(front: ClickHouseFront, *ids: int, **settings: object) -> None:
    client = front.client(**settings)
    try:
        client.insert("t", [[number, f"text {number} '\\\n FORMAT Native\n"] for number in ids], ["id", "text"])
    finally:
        client.close()


def ids(front: ClickHouseFront) -> list[int]:
    return [row[0] for row in front.rows("SELECT id FROM t ORDER BY id")]


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_rows_come_back(front: ClickHouseFront, compress: bool | str) -> None:
    insert(front, *range(20_000), compress=compress)  # two blocks of the client's
    client = front.client(compress=compress)
    rows = client.query("SELECT id, text FROM t WHERE id >= {low:UInt64} ORDER BY id", parameters={"low": 19_998})
    assert rows.result_rows == [(number, f"text {number} '\\\n FORMAT Native\n") for number in (19_998, 19_999)]
    assert client.command("SELECT count() FROM t") == 20_000
    assert client.query("SELECT id FROM t WHERE 0").result_rows == []
    client.close()


def test_databases_and_settings(front: ClickHouseFront) -> None:
    client = front.client()
    client.command("CREATE DATABASE other")
    client.command(TABLE.format("other.t"))
    other = front.client(database="other")
    other.insert("t", [[1, "x"]], ["id", "text"], settings={"max_insert_threads": 2})
    assert other.command("SELECT count() FROM t") == 1
    assert ids(front) == []
    assert client.command("SELECT getSetting('max_threads')", settings={"max_threads": 3}) == 3
    for opened in (client, other):
        opened.close()


def test_raw_inserts(front: ClickHouseFront) -> None:
    client = front.client()
    client.raw_insert("t", ["id", "text"], b'{"id": 7, "text": "a"}\n', fmt="JSONEachRow")
    client.raw_insert("t", ["id", "text"], iter([b'{"id": 8, ', b'"text": "b"}\n']), fmt="JSONEachRow")
    client.command("INSERT INTO t (id) VALUES (9)")
    client.close()
    assert ids(front) == [7, 8, 9]


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"), ("SELEC 1", 62, "SYNTAX_ERROR"), ("SELECT x", 47, "UNKNOWN_ID")],
)
def test_exceptions_have_their_code(front: ClickHouseFront, query: str, code: int, name: str) -> None:
    client = front.client()
    with pytest.raises(DatabaseError, match=name) as caught:
        client.query(query)
    assert caught.value.code == code
    client.close()


def test_ping(front: ClickHouseFront) -> None:
    with urllib.request.urlopen(f"{front.url}/ping", timeout=10) as answer:
        assert answer.read() == b"Ok.\n"
    client = front.client()
    assert client.ping()
    client.close()


def test_every_second_insert_fails_before_or_after_it_took_effect(front: ClickHouseFront) -> None:
    front.fault(fail_every=2)
    insert(front, 1)
    with pytest.raises(DatabaseError, match="as ordered"):
        insert(front, 2)
    front.fault(fail_after=True)
    insert(front, 3)
    with pytest.raises(DatabaseError, match="as ordered"):
        insert(front, 4)
    assert ids(front) == [1, 3, 4]
    assert front.counts()["inserts"] == 4
    assert front.counts()["inserts_failed"] == 2


def test_an_insert_without_an_answer(front: ClickHouseFront) -> None:
    front.fault(fail_every=1, fail_after=True, drop=True)
    with pytest.raises(OperationalError):
        insert(front, 1)
    front.heal()
    assert 1 in ids(front)


def test_slow_answers_run_into_the_time_out(front: ClickHouseFront) -> None:
    front.fault(delay_s=5.0)
    with pytest.raises(OperationalError, match=r"(?i)timed out|timeout"):
        insert(front, 1, send_receive_timeout=1)
    assert ids(front) in ([], [1])  # queries are not delayed


@pytest.mark.parametrize("status", [500, 503])
def test_failing_answers(front: ClickHouseFront, status: int) -> None:
    front.fault(status=status)
    with pytest.raises(DatabaseError):
        insert(front, 1)
    front.heal()
    insert(front, 2)
    assert ids(front) == [2]


def test_refused_connections(front: ClickHouseFront) -> None:
    client = front.client()
    front.fault(refuse=True)
    with pytest.raises(OperationalError):
        client.query("SELECT 1")
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"{front.url}/ping", timeout=10)
    front.heal()
    assert client.command("SELECT 1") == 1
    client.close()


def test_the_password_is_asked_for(front: ClickHouseFront) -> None:
    front.fault(password="right")
    with pytest.raises(DatabaseError, match="AUTHENTICATION_FAILED"):
        front.client(username="default", password="wrong")
    client = front.client(username="default", password="right")
    assert client.command("SELECT 1") == 1
    client.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_started_again_it_has_its_data_and_address(front: ClickHouseFront, how: str) -> None:
    insert(front, 1)
    url = front.url
    getattr(front, how)()
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"{url}/ping", timeout=10)
    front.start()
    assert front.url == url
    assert ids(front) == [1]
