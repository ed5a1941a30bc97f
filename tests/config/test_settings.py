"""Settings files: what is read, and every problem at once with its place."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from config.settings import LiveSettings, SettingsError, load_settings

ROOT = Path(__file__).resolve().parents[2]

LEAST = """\
rules: [rules/a.yaml]
state: state
source:
  bootstrap: kafka:9092
  topics: {click: [bank.click]}
sinks:
  files: out
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "live.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, **environment: str) -> LiveSettings:
    return load_settings(written(folder, text), environment)


def problems(folder: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(folder, text, **environment)
    lines = str(caught.value).splitlines()
    assert lines == [str(problem) for problem in caught.value.problems]
    prefix = f"{folder / 'live.yaml'}:"
    assert all(line.startswith(prefix) for line in lines)
    return [line.removeprefix(prefix) for line in lines]


def test_the_least_file_gives_the_contracts_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, LEAST)
    assert settings.rules == (tmp_path / "rules" / "a.yaml",)
    assert (settings.state, settings.policy, settings.sinks.files) == (tmp_path / "state", None, tmp_path / "out")
    assert (settings.lateness_ms, settings.dedup_ms, settings.idle_ms, settings.epoch_ms) == (
        500,
        3_600_000,
        5000,
        1000,
    )
    assert (settings.max_jump_ms, settings.max_ahead_ms) == (366 * 86_400_000, 300_000)
    assert settings.compact_after_ms == 86_400_000
    assert (settings.source.group, settings.source.start, settings.source.on_lost_offset) == (
        "cem",
        "earliest",
        "error",
    )
    assert (settings.source.topics, settings.source.poll_ms) == ({"click": ("bank.click",)}, 50)
    assert (settings.sinks.kafka, settings.sinks.clickhouse, settings.views) == (None, None, None)
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 9400)
    assert (settings.log.level, settings.log.format, settings.log.mask) == ("info", "json", True)


def test_the_shipped_file_loads_and_names_files_that_are_there() -> None:
    settings = load_settings(ROOT / "config" / "live.yaml", {})
    assert all(path.is_file() for path in (*settings.rules, settings.policy) if path is not None)
    assert settings.state == ROOT / ".live" / "state"
    assert settings.source.bootstrap == "localhost:9092"
    assert set(settings.source.topics) == {"profile", "ticket", "label", "click", "txn", "feedback"}
    assert settings.sinks.clickhouse is not None
    assert settings.sinks.clickhouse.path == ROOT / ".live" / "clickhouse"
    assert settings.sinks.kafka is not None
    assert settings.views is not None


def test_paths_are_relative_to_the_file_also_when_it_is_named_relatively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    written(folder, LEAST.replace("state: state", "state: ../kept").replace("out", "/var/out"))
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("conf/live.yaml"), {})
    assert (settings.state, settings.sinks.files) == (Path("kept"), Path("/var/out"))


@pytest.mark.parametrize(
    ("text", "size_ms"),
    [("250ms", 250), ("3s", 3000), ("2m", 120_000), ("1h", 3_600_000), ("1w", 604_800_000), ("0", 0)],
)
def test_durations(tmp_path: Path, text: str, size_ms: int) -> None:
    assert load(tmp_path, f"{LEAST}dedup: {text}\n").dedup_ms == size_ms


def test_every_problem_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    here = Path(__file__).parent
    expected = (here / "wrong_messages.txt").read_text(encoding="utf-8").splitlines()
    assert problems(tmp_path, (here / "wrong.yaml").read_text(encoding="utf-8")) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("state: state\n", "", ["1:1: the file needs the key `state`, which is missing"]),
        ("  bootstrap: kafka:9092\n", "", ["3:1: `source` needs the key `bootstrap`, which is missing"]),
        ("  files: out\n", "", ["6:1: `sinks` must be a mapping, not nothing"]),
        ("  files: out\n", "  files:\n", ["6:1: there is no sink (give one of kafka, clickhouse, files)"]),
        ("files: out", "clickhouse: {events: false}",
         ["7:3: `sinks.clickhouse` needs `url` or `path` (`url` for a server, `path` for the embedded engine)"]),
        ("{click: [bank.click]}", "{}", ["5:11: `source.topics` names no topic (give one stream one)"]),
        ("[bank.click]", "[]", ["5:19: `source.topics.click` must not be empty"]),
        ("[rules/a.yaml]", "[]", ["1:8: `rules` must not be empty"]),
        ("kafka:9092", "kafka:90920",
         ["4:14: `source.bootstrap` must be servers as host:port, not `kafka:90920` (such as a:9092,b:9092)"]),
        ("files: out", "kafka: {topics: {tickets: a}}",
         ["7:20: unknown key `tickets` (did you mean `ticket`?)"]),
        ("files: out", "kafka: {partitions: 0}", ["7:23: `sinks.kafka.partitions` must be from 1 to 10000, not 0"]),
        ("files: out", "kafka: {partitions: 1.5}",
         ["7:23: `sinks.kafka.partitions` must be a whole number, not the number `1.5`"]),
        ("files: out", "kafka: {partitions: true}",
         ["7:23: `sinks.kafka.partitions` must be a whole number, not the boolean `true`"]),
        ("state: state", "state: state\nidle: 1000h",
         ["3:7: `idle` must be from 100ms to 1d, not the text `1000h`"]),
        ("files: out", "kafka: {topics: {tag: bank.click}}",
         ["7:25: topic `bank.click` of `sinks.kafka` is read by `source` too (the engine would read what it writes)"]),
    ],
)  # fmt: skip
def test_one_problem(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in LEAST
    assert problems(tmp_path, LEAST.replace(old, new)) == expected


def test_a_topic_that_is_read_and_by_default_written(tmp_path: Path) -> None:
    text = LEAST.replace("[bank.click]", "[cem.tag]").replace("files: out", "kafka: {}")
    message = "topic `cem.tag` of `sinks.kafka` is read by `source` too (the engine would read what it writes)"
    assert problems(tmp_path, text) == [f"7:10: {message}"]
    assert load(tmp_path, text.replace("{}", "{bootstrap: 'elsewhere:9092'}")).source.topics == {"click": ("cem.tag",)}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("rules: [a\nstate: x\n", "2:6", "not well-formed YAML"),
        ("rules: a: b\n", "1:9", "not well-formed YAML: mapping values are not allowed"),
        ("state: 'x\n", "2:1", "not well-formed YAML"),
        ("\tstate: x\n", "1:1", "not well-formed YAML"),
        ("state: {bootstrap: ${X}}\n", "1:21", 'put ${NAME} in quotes: "${NAME}"'),
        ("state: *hunter2\n", "1:8", "undefined alias"),
        ("", "1:1", "the file is empty"),
        ("# nothing\n", "1:1", "the file is empty"),
        ("- a\n", "1:1", "the file must be a mapping, not a list"),
        ("a: 1\n---\nb: 2\n", "2:1", "not well-formed YAML"),
        ("state: &a [*a]\n", "1:8", "refers to itself"),
        ("? [a]\n: b\n", "1:3", "a key must be text"),
    ],
)
def test_files_that_are_not_even_settings(tmp_path: Path, text: str, place: str, words: str) -> None:
    found = [line for line in problems(tmp_path, text) if line.startswith(f"{place}: ") and words in line]
    assert len(found) == 1
    assert "hunter2" not in found[0]


def test_a_file_that_is_not_there_or_not_utf_8(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml:1:1: can't read the file: No such file"):
        load_settings(tmp_path / "none.yaml", {})
    (tmp_path / "live.yaml").write_bytes(b"rules: [a]\nstate: \xff\n")
    with pytest.raises(SettingsError, match=r"live\.yaml:2:8: byte 0xff is not UTF-8"):
        load_settings(tmp_path / "live.yaml", {})


def test_values_of_the_environment(tmp_path: Path) -> None:
    text = LEAST.replace("kafka:9092", "${HOST:-localhost}:${PORT}") + (
        "http: {port: \"${HTTP}\"}\nlog: {mask: '${MASK:-false}'}\npolicy: ${POLICY:-}\nidle: ${IDLE}\n"
    )
    settings = load(tmp_path, text, PORT="9093", HTTP="9500", IDLE="7s")
    assert settings.source.bootstrap == "localhost:9093"
    assert (settings.http.port, settings.log.mask, settings.policy, settings.idle_ms) == (9500, False, None, 7000)


@pytest.mark.parametrize("environment", [{}, {"HOST": ""}])
def test_a_default_is_for_a_variable_that_is_unset_or_empty(tmp_path: Path, environment: dict[str, str]) -> None:
    text = LEAST.replace("kafka:9092", "${HOST:-localhost}:9092")
    assert load(tmp_path, text, **environment).source.bootstrap == "localhost:9092"


def test_a_value_of_digits_stays_text_where_text_is_wanted(tmp_path: Path) -> None:
    text = LEAST.replace("bootstrap:", "options: {sasl.password: '${PW}'}\n  group: ${GROUP}\n  bootstrap:")
    settings = load(tmp_path, text, PW="0123", GROUP="$${7}")
    assert (settings.source.options, settings.source.group) == ({"sasl.password": "0123"}, "$${7}")


def test_a_wrong_value_of_the_environment_is_not_shown(tmp_path: Path) -> None:
    text = f"{LEAST}http: {{port: '${{PW}}'}}\nidle: ${{PW}}\nlog: {{level: '${{PW}}'}}\n"
    text = text.replace("kafka:9092", "${PW}").replace("[bank.click]", "['${PW} x']")
    found = "\n".join(problems(tmp_path, text, PW="hunter2"))
    assert found.count("of the environment variable (not shown)") == 5
    assert "hunter2" not in found


WITH_PASSWORDS = """\
rules: [a]
state: s
source:
  bootstrap: kafka:9092
  topics: {click: [c]}
  options: {sasl.password: hunter2, security.protocol: SASL_SSL, fetch.min.bytes: 5, enable.ssl.certificate.verification: true}
sinks:
  kafka: {options: {ssl.key.password: hunter2}}
  clickhouse: {url: "http://u:hunter2@ch:8123"}
views: {url: "redis://:hunter2@r:6379/0"}
"""  # noqa: E501


def test_passwords_are_not_in_the_repr(tmp_path: Path) -> None:
    settings = load(tmp_path, WITH_PASSWORDS)
    assert "hunter2" not in repr(settings) + str(settings) + f"{settings.source.options}"
    assert settings.source.options["sasl.password"] == "hunter2"
    assert settings.sinks.clickhouse is not None
    assert settings.sinks.clickhouse.url is not None
    assert settings.sinks.clickhouse.url.get_secret_value() == "http://u:hunter2@ch:8123"
    assert settings.sinks.clickhouse.shown == "http://ch:8123"
    assert settings.views is not None
    assert settings.views.shown == "redis://r:6379/0"


@pytest.mark.parametrize("url", ["http://u:hunter2@", "ftp://u:hunter2@h", "http://u:hunter2@h:x", "[http://hunter2]"])
def test_passwords_are_not_in_messages(tmp_path: Path, url: str) -> None:
    found = problems(tmp_path, WITH_PASSWORDS.replace("http://u:hunter2@ch:8123", url))
    assert len(found) == 1
    assert "sinks.clickhouse.url" in found[0]
    assert "hunter2" not in found[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('clickhouse: {url: "http://u:hunter2@ch:8123"}', "clickhouse: http://u:hunter2@ch:8123"),
        ('views: {url: "redis://:hunter2@r:6379/0"}', "views: redis://:hunter2@r:6379/0"),
        ("kafka:9092", "u:hunter2@kafka:9092,x"),
        ("sasl.password: hunter2", "sasl.password: [hunter2]"),
        ("views:", "log: {mask_key: [hunter2]}\nviews:"),
        ("views:", "http: {port: 'u:hunter2@x'}\nviews:"),
    ],
)
def test_passwords_in_the_wrong_place_are_not_in_messages(tmp_path: Path, old: str, new: str) -> None:
    assert old in WITH_PASSWORDS
    found = problems(tmp_path, WITH_PASSWORDS.replace(old, new))
    assert len(found) == 1
    assert "hunter2" not in found[0]


def test_the_kafka_sink_takes_servers_and_security_from_the_source(tmp_path: Path) -> None:
    servers, options = load(tmp_path, WITH_PASSWORDS).kafka_writer()
    assert servers == "kafka:9092"
    assert options == {
        "sasl.password": "hunter2",
        "security.protocol": "SASL_SSL",
        "enable.ssl.certificate.verification": "true",
        "ssl.key.password": "hunter2",
    }
    own = WITH_PASSWORDS.replace("kafka: {options:", "kafka: {bootstrap: 'other:9092', options:")
    assert load(tmp_path, own).kafka_writer() == ("other:9092", {"ssl.key.password": "hunter2"})


def test_settings_can_go_to_another_process_and_do_not_change(tmp_path: Path) -> None:
    settings = load(tmp_path, WITH_PASSWORDS)
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(ValueError, match="frozen"):
        settings.lateness_ms = 1  # type: ignore[misc]


FULL: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "config" / "live.yaml").read_text(encoding="utf-8"))


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in paths_of(item, (*path, key)))]


@pytest.mark.parametrize("wrong", [None, 3, 2.5, True, "no such thing!", [], {}, [[]], {"a": {"b": 1}}], ids=repr)
def test_any_value_anywhere_is_accepted_or_reported_with_a_place(tmp_path: Path, wrong: Any) -> None:
    refused: list[SettingsError] = []
    for path in paths_of(FULL):
        data = copy.deepcopy(FULL)
        if path:
            holder = data
            for part in path[:-1]:
                holder = holder[part]
            holder[path[-1]] = wrong
        else:
            data = wrong
        out = io.StringIO()
        YAML(typ="safe", pure=True).dump(data, out)
        try:
            load(tmp_path, out.getvalue())
        except SettingsError as error:
            refused.append(error)
    assert len(refused) >= 10
    assert all(problem.place.line >= 1 and problem.message for error in refused for problem in error.problems)
    assert [error for error in refused if "pydantic" in str(error).lower() or "can't be" in str(error)] == []
