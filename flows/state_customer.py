"""Finds what a state folder keeps of one customer, also while a run works with the folder."""

from __future__ import annotations

import numpy as np

from flows.model_stages import MEASURE, SCORE
from flows.state_files import KeptShard, kept_shard, remembered_or_nothing
from operators.erasure import customer_of_message
from operators.split import shards_of
from operators.survey import messages_of
from state.row_snapshots import Sections
from state.state_folder import StateFolder
from state.texts import Texts


def shards_of_customer(folder: StateFolder, customer_id: str) -> dict[str, KeptShard]:
    """The shards that may know a customer, as of the moment from which a run would go on.

    By stage, those of models by their own names.

    Raises
    ------
    StateError
        A file is damaged or missing.
    """
    number = int(shards_of(Texts.from_lines([customer_id.encode()]))[0])
    versions = remembered_or_nothing(folder.path).shards
    shards: dict[str, KeptShard] = {}
    for reader in folder.shards():
        name = reader.folder.name
        stage, _, shard_number = name.rpartition("-")
        if stage == SCORE or (stage in ("order", "decide", MEASURE) and int(shard_number) == number):
            shard = kept_shard(reader, versions.get(name, (None, ""))[0])
            if shard is not None:
                shards[name if stage == SCORE else stage] = shard
    return shards


def ordering_of(shards: dict[str, KeptShard]) -> Sections:
    """The newest file with the events that wait for their turn."""
    return shards.get("order", shards["decide"]).sections[-1]


def waiting_of(sections: Sections, customer_id: str) -> list[tuple[int, bytes]]:
    """A customer's events that wait for their turn: when they take effect (ms), and the message."""
    times = np.frombuffer(sections["waiting.effective_ms"], np.int64).tolist()
    return [
        (at_ms, message)
        for message, at_ms in zip(messages_of(sections), times, strict=True)
        if customer_of_message(message, customer_id.encode()) == customer_id
    ]
