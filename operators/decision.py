"""The decision record and its id, as the contract writes them."""

from __future__ import annotations

from hashlib import blake2b
from json.encoder import encode_basestring as _quoted  # a JSON string, non-ASCII as it is
from typing import Any

from operators.policy_gate import Verdict
from rules.model import Rule
from state.timers import Firing


def action_ids(rule: Rule, customer_id: str, firing: Firing) -> list[str]:
    """The ids of the entries of a firing: digests of what they are about, so that a replay gives the same."""
    about = [customer_id, firing.anchor_stream, firing.anchor_id, firing.anchor_ms, firing.holding_id]
    texts = [_quoted(x) if isinstance(x, str) else ("null" if x is None else str(x)) for x in about]
    start = f'["{rule.id}",{rule.version},{",".join(texts)},'
    return [
        blake2b(f'{start}"{action.kind}",{index}]'.encode(), digest_size=16).hexdigest()
        for index, action in enumerate(rule.actions)
    ]


def decision_record(
    rule: Rule, customer_id: str, firing: Firing, verdict: Verdict, decision_id: str, t_ms: int
) -> dict[str, Any]:
    """One decision as it is written, fields in the contract's order."""
    return {
        "action_id": decision_id,
        "kind": rule.actions[verdict.index].kind,
        "rule_id": rule.id,
        "rule_version": rule.version,
        "class": rule.rule_class,
        "priority": rule.priority,
        "customer_id": customer_id,
        "ts": t_ms,
        "anchor_event_id": None if firing.anchor_stream == "daily" else firing.anchor_id,
        "holding_id": firing.holding_id,
        "decision": "emitted" if verdict.reason is None else "suppressed",
        "reason": verdict.reason,
        "would_be": verdict.would_be,
        "open_ticket_id": verdict.open_ticket_id,
        "late": firing.late,
        "features": firing.features,
        "payload": firing.payloads[verdict.index],
    }
