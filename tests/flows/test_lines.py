"""Reading lines: same lines whatever the packing and the batch size, and errors that say what to do."""

import gzip
import os
import random
import threading

import pytest
import zstandard

from flows import lines as lines_module
from flows.lines import LineReader, SourceError


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def read_all(path, max_bytes=1 << 20, **options):
    found = []
    with LineReader(path, **options) as reader:
        expected_first = 1 + options.get("skip_lines", 0)
        while (batch := reader.read_batch(max_bytes)) is not None:
            assert batch.lines
            assert batch.first_line == expected_first
            assert batch.file == str(path)
            expected_first += len(batch.lines)
            found += batch.lines
    return found


SKIPPABLE = b"\x50\x2a\x4d\x18\x03\0\0\0abc"

PACKINGS = {
    "plain": ("", lambda data: data),
    "gzip": (".gz", gzip.compress),
    "gzip members": (
        ".gz",
        lambda data: b"".join(gzip.compress(data[i : i + 999], mtime=0) for i in range(0, len(data), 999)),
    ),
    "gzip padded": (".gz", lambda data: gzip.compress(data, mtime=0) + b"\0" * 700),
    "zstd": (".zst", zstd),
    "zstd frames": (".zst", lambda data: b"".join(zstd(data[i : i + 999]) for i in range(0, len(data), 999))),
    "zstd skippable": (".zst", lambda data: SKIPPABLE + zstd(data) + SKIPPABLE),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("max_bytes", [1, 7, 1000, 1 << 20])
def test_lines_are_the_same_in_every_packing_and_batch_size(tmp_path, packing, max_bytes):
    chance = random.Random(packing)
    alphabet = [b"a", b"\r", b"\x0b", b"\x85", "行".encode(), b"\xe2\x80\xa8", b" ", b"\n", b"\n\n"]
    data = b"".join(chance.choices(alphabet, k=4000)) + b"half a line"
    suffix, pack = PACKINGS[packing]
    path = tmp_path / f"events.ndjson{suffix}"
    path.write_bytes(pack(data))
    assert read_all(path, max_bytes) == data.split(b"\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", []), (b"\n", [b""]), (b"a", [b"a"]), (b"a\n", [b"a"]), (b"a\n\nb\r\n", [b"a", b"", b"b\r"])],
)
def test_ends_of_lines(tmp_path, data, expected):
    path = tmp_path / "e.ndjson"
    path.write_bytes(data)
    assert read_all(path) == expected


def test_batches_are_bounded_and_progress_is_told(tmp_path):
    data = b"0123456789\n" * 300_000
    path = tmp_path / "e.ndjson.gz"
    path.write_bytes(gzip.compress(data, 1, mtime=0))
    reader = LineReader(path)
    assert reader.bytes_total == path.stat().st_size
    assert reader.bytes_read == 0
    positions = []
    while (batch := reader.read_batch(100_000)) is not None:
        assert len(batch.lines) <= 100_000 // 11 + 1
        positions.append(reader.bytes_read)
    assert len(positions) >= 33
    assert positions == sorted(positions)
    assert positions[-1] == reader.bytes_total


def test_a_pipe_gives_batches_as_large_as_a_file(tmp_path):
    data = b"".join(b"line %d\n" % number for number in range(200_000))
    (tmp_path / "file").write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
    writer.start()
    sizes = {}
    for name in ("file", "pipe"):
        with LineReader(tmp_path / name) as reader:
            sizes[name] = [len(batch.lines) for batch in iter(lambda reader=reader: reader.read_batch(1 << 20), None)]
    writer.join()
    assert sizes["pipe"] == sizes["file"]
    assert len(sizes["file"]) == 3


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_skipping_goes_on_with_the_right_line_number(tmp_path, suffix):
    data = b"".join(b"%d\n" % number for number in range(1, 5001))
    path = tmp_path / f"e.ndjson{suffix}"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".zst": zstd}[suffix](data))
    assert read_all(path, 500, skip_lines=4300) == [b"%d" % number for number in range(4301, 5001)]
    assert read_all(path, 500, skip_lines=5000) == []


@pytest.mark.parametrize("ending", [b"\nnext\n", b"\n", b""])
def test_an_endless_line_is_bounded(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 1000)
    path = tmp_path / "e.ndjson"
    path.write_bytes(b"before\n" + b"x" * 1000 + b"\n" + b"y" * 1_000_000 + ending)
    found = read_all(path, 300)
    assert found == [b"before", b"x" * 1000, b"y" * 1001, *([b"next"] if b"next" in ending else [])]


def test_highly_packed_data_come_in_bounded_batches(tmp_path):
    for suffix, pack in ((".gz", gzip.compress), (".zst", zstd)):
        path = tmp_path / f"e{suffix}"
        path.write_bytes(pack(b"\n" * 20_000_000))
        with LineReader(path) as reader:
            sizes = []
            while (batch := reader.read_batch(1 << 20)) is not None:
                sizes.append(len(batch.lines))
        assert sum(sizes) == 20_000_000
        assert max(sizes) <= 1 << 20


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_cut_off_gives_its_whole_lines_and_then_says_where(tmp_path, suffix):
    chance = random.Random(5)
    data = b"".join(b"%030x\n" % chance.getrandbits(120) for _ in range(20_000))
    packed = gzip.compress(data, mtime=0) if suffix == ".gz" else zstd(data)
    path = tmp_path / f"e.ndjson{suffix}"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    reader = LineReader(path)
    found = []

    def read_on():
        while (batch := reader.read_batch(10_000)) is not None:
            found.extend(batch.lines)

    with pytest.raises(SourceError) as caught:
        read_on()
    assert len(found) > 1000
    assert found == data.split(b"\n")[: len(found)]
    assert str(caught.value).startswith(f"{path}: after line {len(found)}: ")
    assert "cut off" in str(caught.value)
    assert "copy it again" in str(caught.value)
    with pytest.raises(SourceError):
        reader.read_batch()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("e.gz", b'{"stream":"txn"}\n', ["before the first line", "no gzip data", "rename"]),
        ("e.zst", b'{"stream":"txn"}\n', ["before the first line", "no zstandard data", "rename"]),
        ("e.gz", b"", ["cut off"]),
        ("e.zst", b"", ["cut off"]),
        ("e.gz", gzip.compress(b"a\nb\n", mtime=0) + b"rubbish", ["after line 2", "corrupt"]),
        ("e.zst", zstd(b"a\nb\n") + b"rubbish at the end", ["after line 2", "corrupt"]),
        ("e.gz", gzip.compress(b"a\nb\n", mtime=0)[:-6] + b"\0\0\0\0\0\0", ["corrupt"]),
    ],
)
def test_what_is_wrong_with_a_packed_file(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_all(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match=r"nowhere\.ndjson: no such file"):
        LineReader(tmp_path / "nowhere.ndjson")
    with pytest.raises(SourceError, match="is a folder; name the files"):
        LineReader(tmp_path)

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(SourceError, match=r"may not be read; .*chmod"):
        LineReader(tmp_path / "secret.ndjson")


def test_a_file_that_has_become_shorter_is_not_taken_for_read(tmp_path):
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"a\nb\n")
    with pytest.raises(SourceError, match="has 2 lines, fewer than were read before; bring the file back"):
        read_all(path, skip_lines=3)
