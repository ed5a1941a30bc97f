"""`cem text`, and other models in a replay."""

import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.text_files import TextFileError, read_labelled, read_scored
from operators.annotate import default_annotator, shipped_model
from state.text_model import load_text_model
from tests.operators.test_text_learner import made_up

REAL = os.environ.get("CEM_LABELLED_TEXTS")


def cem(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(path, texts, classes):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "BIO_anno", "class"])
        writer.writerows([at, text, "O", of] for at, (text, of) in enumerate(zip(texts, classes, strict=True)))
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return write(tmp_path_factory.mktemp("text") / "texts.csv.gz", *made_up(600))


def test_train_then_eval_then_replay(labelled, tmp_path):
    model = tmp_path / "m"
    trained = cem("text", "train", "--labelled", labelled, "--out", model, "--json")
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["texts"] == 600
    judged = cem(
        "text", "eval", "--labelled", write(tmp_path / "new.csv", *made_up(200, 7)), "--model", model, "--json"
    )
    figures = json.loads(judged.stdout)
    assert figures["kappa"] > 0.8
    assert sum(map(sum, figures["confusion"])) == figures["texts"] == 200

    (tmp_path / "rules.yaml").write_text(
        "version: 1\nrules: [{id: r, trigger: feedback, let: {s: feedback.sentiment}, then: [{tag: {name: t}}]}]\n"
    )
    event = {"stream": "feedback", "event_id": "e", "customer_id": "c", "ts": 1_760_000_000_000, "text": "子丑甲"}
    (tmp_path / "e.ndjson").write_text(json.dumps(event) + "\n")
    found = {}
    for name, options in (("own", []), ("other", ["--text-model", model])):
        done = cem("replay", "--rules", tmp_path / "rules.yaml", "--events", tmp_path / "e.ndjson", "--out",
                   tmp_path / name, *options)  # fmt: skip
        assert done.exit_code == 0, done.output
        found[name] = json.loads((tmp_path / name / "actions.ndjson").read_text())["features"]["s"]
    assert found["own"] == default_annotator()("子丑甲").sentiment
    assert found["other"] == default_annotator(model)("子丑甲").sentiment < -0.5


def test_the_model_that_is_shipped_is_what_the_command_makes(tmp_path):
    assert cem("text", "train", "--out", tmp_path / "m").exit_code == 0
    made, shipped = load_text_model(tmp_path / "m"), shipped_model()
    assert made.places.tolist() == shipped.places.tolist()
    assert made.about == shipped.about
    # another processor may round the last bits otherwise
    assert np.abs(made.values.astype(float) - shipped.values.astype(float)).max() < 0.01
    assert made.offsets.tolist() == pytest.approx(shipped.offsets.tolist(), abs=0.11)


def test_eval_by_folds_prints_a_table(labelled):
    judged = cem("text", "eval", "--labelled", labelled, "--folds", 2)
    assert judged.exit_code == 0
    assert "kappa 0." in judged.stdout
    assert [line.split()[0] for line in judged.stdout.splitlines()[3:]] == ["negative", "positive", "neutral"]


def test_scores_of_customers_are_classes(tmp_path):
    events = [
        {"stream": "feedback", "metric": metric, "score": score, "text": f"{metric}{score}"}
        for metric, score in [("nps", 6), ("nps", 7), ("nps", 9), ("csat", 2), ("csat", 3),
                              ("csat", 4), ("ces", 3), ("ces", 4), ("ces", 5)]
    ]  # fmt: skip
    passed_over = [{"stream": "click", "text": "x", "score": 1}, {"metric": "comment", "text": "x", "score": 1},
                   {"metric": "nps", "text": " ", "score": 1}, {"metric": "nps", "text": 5, "score": 1},
                   {"metric": "nps", "text": "x", "score": True}, {"metric": "nps", "text": "x"}]  # fmt: skip
    path = tmp_path / "e.ndjson"
    path.write_text("\n".join([*map(json.dumps, events + passed_over), "{", '["text"]', ""]))
    texts, classes = read_scored([path])
    assert classes == [0, 2, 1] * 3
    assert texts[0] == "nps6"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text,class\n好,3\n", ":2: the class must be 0, 1 or 2, not '3'"),
        ("text,class\n好\n", ":2: the class must be 0, 1 or 2, not nothing"),
        ("text,label\n好,1\n", ":1: no columns"),
        ("", ":1: no columns"),
        (b"text,class\n\xff,1\n", "cannot be read"),
    ],
)
def test_a_labelled_file_that_is_wrong_is_refused_by_place(content, problem, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TextFileError, match=problem):
        read_labelled([path])
    assert cem("text", "eval", "--labelled", path).exit_code == 1


def test_what_cannot_be_is_said(labelled, tmp_path):
    (tmp_path / "m").write_text("x")
    one = write(tmp_path / "one.csv", ["好", "好"], [1, 1])
    for arguments, code, said in [
        (("eval",), 2, "--labelled"),
        (("eval", "--labelled", tmp_path / "none.csv"), 1, "none.csv"),
        (("eval", "--labelled", one), 1, "negative, neutral"),
        (("eval", "--labelled", labelled, "--model", tmp_path / "m"), 1, "no text model"),
        (("train", "--labelled", one, "--out", tmp_path / "o"), 1, "negative, neutral"),
    ]:
        result = cem("text", *arguments)
        assert (result.exit_code, said in result.output) == (code, True), result.output
    assert not Path(tmp_path / "o").exists()
    (tmp_path / "rules.yaml").write_text("version: 1\nrules: [{id: r, trigger: feedback, then: [{tag: {name: t}}]}]\n")
    (tmp_path / "e.ndjson").write_text("")
    refused = cem("replay", "--rules", tmp_path / "rules.yaml", "--events", tmp_path / "e.ndjson", "--out",
                  tmp_path / "o", "--text-model", tmp_path / "m")  # fmt: skip
    assert (refused.exit_code, "no text model" in refused.output) == (1, True)


@pytest.mark.skipif(not REAL, reason="CEM_LABELLED_TEXTS names no file of labelled comments")
def test_published_comments_by_five_folds():
    figures = json.loads(cem("text", "eval", "--labelled", REAL, "--json").stdout)
    assert figures["kappa"] >= 0.50
    assert figures["macro_f1"] >= 0.68
