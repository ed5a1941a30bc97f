"""The state with which a live run begins, held as long as it lasts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from config.settings import LiveSettings
from flows.live.job import LiveJob
from flows.rule_history import rules_id
from flows.rule_report import change_report
from flows.state_folder import ERASING, RUNTIME, open_state, policy_digest, text_model_id
from rules.model import RuleSet
from rules.policy import Policy
from state.disk import StateError
from state.state_folder import StateFolder

_LOG = logging.getLogger(__name__)

ABOUT = {"kind of run": "live"}
"""A folder of a replay has positions in files, and sinks that were cut off there."""

WAIT_SECONDS, REMINDER_WAITS = 1.0, 30


@contextmanager
def start(
    rules: RuleSet, policy: Policy, settings: LiveSettings, workers: int, index: int, stop: threading.Event
) -> Iterator[LiveJob | None]:
    """The job of this machine; null if ``stop`` is set before it can begin.

    Of several hosts the first (``index`` 0) holds the state's folder; the others wait until it has made it ready for
    the same rules, policy and text model.

    Raises
    ------
    StateError
        The folder cannot be used.
    """
    if index == 0:
        text_model = text_model_id(settings.text_model)
        with open_state(settings.state, rules, policy_digest(policy), ABOUT, text_model) as state:
            for line in change_report(state.change, state.other_policy, state.other_text_model):
                _LOG.info("%s", line)
            yield LiveJob(rules, policy, settings, workers, state.key, state.by_entity, state.ordered_in)
        return
    yield _joined(rules, policy, settings, workers, stop)


def other_rules(job: LiveJob) -> str | None:
    """Why a process must not be started again for this job: the first host has begun with others."""
    try:
        other = _others(StateFolder.inspect(job.state).about, job.rules, job.policy, job.settings)
    except StateError:
        return None
    if not other:
        return None
    return f"{job.state}: the first host runs with other {other}; start this host again with the same"


def _others(about: Mapping[str, Any], rules: RuleSet, policy: Policy, settings: LiveSettings) -> str:
    wanted = {
        "rules": rules_id(rules),
        "policy": policy_digest(policy),
        "text_model": text_model_id(settings.text_model),
    }
    return " and ".join(name.replace("_", " ") for name, text in wanted.items() if about.get(name, "") != text)


def _joined(
    rules: RuleSet, policy: Policy, settings: LiveSettings, workers: int, stop: threading.Event
) -> LiveJob | None:
    waits = 0
    while not stop.is_set():
        about: dict[str, Any] = {}
        try:
            about = dict(StateFolder.inspect(settings.state).about)
            other = _others(about, rules, policy, settings)
            reason = f"it is of other {other}" if other else ""
            if ERASING in about or not (settings.state / RUNTIME).exists():
                reason = "it is not complete"
        except StateError as error:
            reason = str(error)
        if not reason:
            first, second = about["key"]
            ordered_in = about.get("ordered_in", {})
            return LiveJob(rules, policy, settings, workers, (first, second), about["by_entity"], ordered_in)
        if waits % REMINDER_WAITS == 0:
            _LOG.info("waiting for the first host to make %s ready: %s", settings.state, reason)
        waits += 1
        stop.wait(WAIT_SECONDS)
    return None
