"""`cem text`: train the classifier of customers' words, and tell how well it does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from operators.text_learner import Training
    from operators.text_scores import TextScores

text_app = typer.Typer(
    name="text", help="Sentiment, topics and keywords of what customers write.", no_args_is_help=True
)

WRONG_INPUT, WRONG_USAGE = 1, 2  # as in ``flows.cli``

_Labelled = Annotated[
    list[Path] | None,
    typer.Option(
        readable=False,
        help="A CSV file with the columns text and class (0 negative, 1 positive, 2 neutral), also .gz or .zst; repeat "
        "the option for several.",
    ),
]
_Events = Annotated[
    list[Path] | None,
    typer.Option(readable=False, help="An event file: feedback whose score says how its text is meant; repeatable."),
]
_Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


def _training(seed: int, *, own: bool = False) -> Training:
    """How to train; our own sentences are so plain that without much decay every judgement would be certain."""
    from operators.text_learner import Training

    return Training(seed=seed, bits=18, rate=1.0, decay=3e-3) if own else Training(seed=seed)


def _texts(labelled: list[Path] | None, events: list[Path] | None) -> tuple[list[str], list[int]]:
    from flows.text_files import TextFileError, read_labelled, read_scored

    try:
        texts, classes = read_labelled(labelled or ())
        more, their_classes = read_scored(events or ())
    except TextFileError as error:
        _fail(f"cem text: {error}", WRONG_INPUT)
    texts, classes = texts + more, classes + their_classes
    missing = {0, 1, 2} - set(classes)
    if missing:
        names = ", ".join(("negative", "positive", "neutral")[of] for of in sorted(missing))
        _fail(f"cem text: {len(texts)} texts, of these classes none: {names}", WRONG_INPUT)
    return texts, classes


@text_app.command()
def train(
    out: Annotated[Path, typer.Option(readable=False, help="The model's file.")],
    labelled: _Labelled = None,
    events: _Events = None,
    seed: _Seed = 1,
    as_json: _Json = False,
) -> None:
    """Train a model: first in one pass (each text is judged before it is learned from), then for good.

    Without files it is trained on the project's own sentences: that is the model which is shipped.
    """
    import numpy as np

    from config.lexicon import load_lexicon
    from flows.text_corpus import own_sentences
    from operators import text_learner as learner
    from operators.text_reading import TextReader
    from operators.text_scores import TextScores

    own = not labelled and not events
    lexicon = load_lexicon()
    texts, classes = own_sentences(lexicon) if own else _texts(labelled, events)
    how = _training(seed, own=own)
    data = learner.TextSet(TextReader(lexicon), texts, classes, how.bits)
    scores = TextScores.of(data.classes, learner.stream(data, how).argmax(1))
    weights, offsets = learner.train(data, np.arange(len(data)), how)
    model = weights.model(offsets, {"texts": len(data), "own": own, "seed": seed})
    try:
        model.save(out)
    except OSError as error:
        _fail(f"cem text: {out}: cannot be written: {error.strerror or error}", WRONG_INPUT)
    _show("one pass, each text judged before it was learned from", scores, as_json)
    print(f"{len(model.places):,} features, {out.stat().st_size / 1e6:.2f} MB; written to {out}", file=sys.stderr)


@text_app.command(name="eval")
def evaluate(
    labelled: _Labelled = None,
    events: _Events = None,
    model: Annotated[
        Path | None, typer.Option(readable=False, help="Judge this model; else models trained on all but a fold.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=50, help="Without --model: so many folds.")] = 5,
    shipped: Annotated[bool, typer.Option("--shipped", help="Judge the model that is shipped.")] = False,
    seed: _Seed = 1,
    as_json: _Json = False,
) -> None:
    """Tell how well texts are classified: accuracy, Cohen's kappa, macro-F1, each class, the confusion matrix."""
    from config.lexicon import load_lexicon
    from operators import text_learner as learner
    from operators.annotate import shipped_model
    from operators.text_reading import TextReader
    from operators.text_scores import TextScores
    from state.text_model import TextModelError, load_text_model

    if not labelled and not events:
        _fail("cem text eval: give files with --labelled or --events", WRONG_USAGE)
    texts, classes = _texts(labelled, events)
    lexicon = load_lexicon()
    if model is None and not shipped:
        how = _training(seed)
        data = learner.TextSet(TextReader(lexicon), texts, classes, how.bits)
        scores = TextScores.of(data.classes, learner.cross_validate(data, folds, how)[0])
        _show(f"{folds} folds, each judged by a model of the others", scores, as_json)
        return
    try:
        used = shipped_model() if model is None else load_text_model(model)
        found = learner.classes_of(used, lexicon, texts)
    except TextModelError as error:
        _fail(f"cem text: {error}", WRONG_INPUT)
    import numpy as np

    _show(str(model or "the model that is shipped"), TextScores.of(np.array(classes), found), as_json)


def _show(title: str, scores: TextScores, as_json: bool) -> None:
    found: dict[str, Any] = {"judged": title} | scores.as_json()
    print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join([title, *scores.lines()]))
