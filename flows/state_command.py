"""`cem state`: look at the folder of a run's state, check it, erase a customer from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

state_app = typer.Typer(
    name="state", help="Look at the folder that `cem replay --state` keeps, check it, erase a customer from it.",
    no_args_is_help=True,
)  # fmt: skip

WRONG_INPUT, FAILED = 1, 3  # as in ``flows.cli``

_Folder = Annotated[Path, typer.Argument(metavar="DIR", readable=False, help="The folder given with --state.")]


def _customer_id(text: str) -> str:
    if not text:
        raise typer.BadParameter("'' is no customer_id: it has a character at least")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter(f"{text!r} is no customer_id: it is not UTF-8") from error
    return text


_Customer = Annotated[str, typer.Option(parser=_customer_id, metavar="TEXT", help="The customer_id.")]
_Rules = Annotated[
    list[Path] | None,
    typer.Option(readable=False, help="The run's rule files, if the folder does not hold them; repeat for several."),
]


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


@contextmanager
def _explained(command: str) -> Iterator[None]:
    """What is wrong with the folder, as a message and exit code 3; a folder that is none is wrong input."""
    from state.disk import StateError

    try:
        yield
    except StateError as error:
        code = WRONG_INPUT if "no state folder" in error.problem else FAILED
        _fail(f"cem state {command}: {error}", code)


@state_app.command()
def inspect(folder: _Folder, rules: _Rules = None) -> None:
    """Show what is in the folder: files, sizes, customers, watermark. Also while a run uses it; nothing is changed."""
    from flows.state_inspect import inspect as look
    from flows.state_inspect import show_inspection
    from flows.state_rules import FolderRules
    from state.state_folder import StateFolder

    with _explained("inspect"):
        opened = StateFolder.inspect(folder)
        show_inspection(look(opened, FolderRules(opened, rules or ())))


@state_app.command()
def verify(folder: _Folder) -> None:
    """Check every checksum and every reference; each problem is a line, and there are any if the exit code is 1."""
    from flows.state_verify import notes
    from flows.state_verify import verify as check
    from state.state_folder import StateFolder

    with _explained("verify"):
        opened = StateFolder.inspect(folder)
        problems = check(opened)
        print("\n".join([*problems, *notes(opened)]), end="\n" if problems or notes(opened) else "")
        files = sum(len(reader.files()) for reader in opened.shards()) if not problems else 0
    if problems:
        _fail(f"{folder}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}", WRONG_INPUT)
    print(f"{folder}: all is well, {files:,} files", file=sys.stderr)


@state_app.command()
def forget(
    folder: _Folder,
    customer: _Customer,
    rules: _Rules = None,
    config: Annotated[
        Path | None,
        typer.Option(readable=False, help="The settings of a live run: the customer's view in Redis goes too."),
    ] = None,
) -> None:
    """Erase a customer: from every file, and look whether the id is left anywhere. No run may use the folder."""
    from flows.state_forget import forget as erase

    if config is not None:
        _forget_view(config, customer)
    with _explained("forget"):
        done = erase(folder, customer, rules or ())
    if done.removed:
        what = ", ".join(f"{name} ({n} {'file' if n == 1 else 'files'})" for name, n in sorted(done.removed.items()))
        print(f"customer {customer!r} is erased from {folder}: {what}")
    else:
        print(f"{folder} held nothing of customer {customer!r}")
    for trace in done.traces:
        print(trace)
    if not done.is_complete:
        _fail(f"cem state forget: {folder}: something of customer {customer!r} is left, see above", FAILED)
    if done.traces:
        print("what is listed above is other customers' or nobody's, and stays", file=sys.stderr)
    else:
        print("the id is in no file of the folder", file=sys.stderr)


def _forget_view(config: Path, customer: str) -> None:
    """Remove what desks see; first, as it is what others read."""
    import redis

    from flows.live.pause_command import settings_of
    from sinks.redis_views import forget_view

    views = settings_of(config).views
    if views is None:
        return
    try:
        there = forget_view(views.url.get_secret_value(), customer)
    except (redis.RedisError, OSError) as error:
        _fail(f"cem state forget: Redis at {views.shown}: {error}; nothing is erased yet", FAILED)
    print(f"the view of customer {customer!r} in Redis {'is removed' if there else 'was not there'}")


@state_app.command()
def show(folder: _Folder, customer: _Customer, rules: _Rules = None) -> None:
    """Tell in words what is kept of a customer."""
    from flows.state_rules import FolderRules
    from flows.state_show import customer_in_words
    from state.state_folder import StateFolder

    with _explained("show"):
        opened = StateFolder.inspect(folder)
        lines = customer_in_words(opened, customer, FolderRules(opened, rules or ()))
    if lines is None:
        _fail(f"cem state show: {folder} holds nothing of customer {customer!r}", WRONG_INPUT)
    print("\n".join(lines))
