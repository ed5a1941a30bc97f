"""The decision record and its id, as the contract writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from json.encoder import encode_basestring as _quoted  # a JSON string, non-ASCII as it is
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from operators.policy_gate import Verdict
from rules.model import Rule
from state.timers import Firing


class Decision(Struct, gc=False):
    """One decision as it is written, fields in the contract's order; a struct is written faster than a dictionary.

    ``models``: of rules that read scores, by model: its version, the score, and the features that contributed most.
    """

    action_id: str
    kind: str
    rule_id: str
    rule_version: int
    rule_class: str = field(name="class")
    priority: int
    customer_id: str
    ts: int
    anchor_event_id: str | None
    holding_id: str | None
    decision: str
    reason: str | None
    would_be: str | None
    open_ticket_id: str | None
    late: bool
    features: dict[str, Any]
    payload: dict[str, Any]
    models: dict[str, Any] | UnsetType = UNSET


def action_ids(rule: Rule, customer_id: str, firing: Firing, indices: Iterable[int]) -> dict[int, str]:
    """The ids of some entries of a firing: digests of what they are about, so that a replay gives the same."""
    holding = "null" if firing.holding_id is None else _quoted(firing.holding_id)
    start = (
        f'["{rule.id}",{rule.version},{_quoted(customer_id)},"{firing.anchor_stream}",{_quoted(firing.anchor_id)},'
        f"{firing.anchor_ms},{holding},"
    )
    return {
        index: blake2b(f'{start}"{rule.actions[index].kind}",{index}]'.encode(), digest_size=16).hexdigest()
        for index in indices
    }


def decision_digest(about: Sequence[Any]) -> str:
    """The id of a decision, as the contract has it, from the array of what it is about."""
    text = "[" + ",".join(
        _quoted(one) if isinstance(one, str) else "null" if one is None else str(one) for one in about
    )
    return blake2b(f"{text}]".encode(), digest_size=16).hexdigest()


def decision_record(
    rule: Rule, customer_id: str, firing: Firing, verdict: Verdict, decision_id: str, t_ms: int,
    payload: dict[str, Any] | None = None,
) -> Decision:  # fmt: skip
    """One decision; ``payload``: what it says instead of the firing's."""
    index, reason = verdict.index, verdict.reason
    return Decision(
        decision_id, rule.actions[index].kind, rule.id, rule.version, rule.rule_class, rule.priority, customer_id, t_ms,
        None if firing.anchor_stream == "daily" else firing.anchor_id, firing.holding_id,
        "emitted" if reason is None else "suppressed", reason, verdict.would_be, verdict.open_ticket_id, firing.late,
        firing.features, firing.payloads[index] if payload is None else payload, firing.scores or UNSET,
    )  # fmt: skip
