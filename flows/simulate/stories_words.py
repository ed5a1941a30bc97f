"""Stories of what customers say, for the pack: complaints, scores, comments, discontent after a ticket.

Written as in `stories_service`. The cast gives no other feedback. `record` finds the background's complaints and
scores; the background's comments are never bad in these runs, so that every bad sentence is one of `phrases`.
"""

from __future__ import annotations

from collections.abc import Sequence

from flows.simulate import vocabulary as words
from flows.simulate.book import StoryBook, Teller
from flows.simulate.clock import DAY_MS, HOUR_MS
from flows.simulate.phrases import APP_BAD, COMPLAINTS, CONTENT, OTHER_BAD, SECURITY_COMPLAINTS, SO_SO
from flows.simulate.population import CALM_ERRORS, CALM_FEEDBACK, CALM_TICKETS

MASS, GOLD, PLATINUM, PRIVATE = map(words.TIERS.index, ("mass", "gold", "platinum", "private"))
QUIET = CALM_FEEDBACK | CALM_TICKETS | CALM_ERRORS


def _becomes(book: StoryBook, c: int, vip: bool | None) -> None:
    """Of a tier that is a VIP's, or is not; None for any."""
    book.pop.calm[c] |= QUIET
    if vip is not None:
        book.pop.tier[c] = book.integer(PLATINUM, PRIVATE) if vip else book.integer(MASS, GOLD)


def complaint(about_security: bool, vip: bool | None) -> Teller:
    """A feedback `complaint` about security or privacy (of any tier), or about anything else (by a platinum or private
    customer, or by another). Complete at once.

    Decoys: the words of a complaint about something else, or of one about security; a question as a comment.
    """

    def told(book: StoryBook, cast: list[int], decoy: int | None) -> None:
        c = cast[0]
        _becomes(book, c, vip)
        kind = "" if decoy is None else ("other_topic", "a_question")[decoy % 2]
        ts = book.moment(book.integer(0, len(book.days) - 1), 9, 21)
        security = about_security != (kind == "other_topic")
        if kind == "a_question":
            found = book.said(c, ts, "comment", book.one_of(SO_SO), touchpoint="app")
        else:
            text = book.one_of(SECURITY_COMPLAINTS if security else COMPLAINTS)
            found = book.said(c, ts, "complaint", text, touchpoint="branch")
        book.tell(cast, [found], ts, ts, note=kind or "complains", expected=decoy is None)
        if kind == "other_topic" and security:
            book.also("complaint_security", c, ts, ts, "complains about security")

    return told


def low_score(metric: str, vip: bool | None, low: Sequence[int], near: Sequence[int]) -> Teller:
    """A score of `low` of this metric by a customer of these tiers. Complete at once.

    Decoys: a score of `near`.
    """

    def told(book: StoryBook, cast: list[int], decoy: int | None) -> None:
        c = cast[0]
        _becomes(book, c, vip)
        ts = book.moment(book.integer(0, len(book.days) - 1), 9, 21)
        score = int(book.one_of([str(n) for n in (low if decoy is None else near)]))
        text = book.one_of(OTHER_BAD) if decoy is None and book.integer(0, 1) else None
        found = book.said(c, ts, metric, text, score, touchpoint="branch")
        book.tell(cast, [found], ts, ts, note=f"{metric} {score}", expected=decoy is None)

    return told


def bad_words(about_app: bool | None, vip: bool) -> Teller:
    """A comment that is clearly discontent: about the app or about something else (None for either), by a platinum or
    private customer or by another. Complete at once.

    Decoys: content or neutral sentences; the same topic, asked without complaint.
    """

    def told(book: StoryBook, cast: list[int], decoy: int | None) -> None:
        c = cast[0]
        _becomes(book, c, vip)
        ts = book.moment(book.integer(0, len(book.days) - 1), 9, 21)
        app = bool(book.integer(0, 1)) if about_app is None else about_app
        kind = "" if decoy is None else ("content", "neutral")[decoy % 2]
        options = {"content": CONTENT, "neutral": SO_SO}.get(kind, APP_BAD if app else OTHER_BAD)
        touch = "app" if app else "branch"
        found = book.said(c, ts, "comment", book.one_of(options), touchpoint=touch)
        book.tell(cast, [found], ts, ts, note=kind or "discontent", expected=decoy is None)

    return told


def unhappy_after_ticket(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Within 7 days of a ticket's `resolved`: a CSAT of 2 or less, a discontent comment, or a follow-up with a
    satisfaction of 2 or less. Complete then. `record` finds the background's.

    Decoys: a CSAT of 4 or 5, or a content comment; nine days or more later; a ticket that is not yet resolved.
    """
    c = cast[0]
    _becomes(book, c, None)
    kind = "" if decoy is None else ("happy", "late", "not_resolved")[decoy % 3]
    ts = book.moment(book.integer(0, max(0, len(book.days) - 16)), 9, 17)
    case = book.new_number("case")
    found = [book.case(c, ts, case, "accepted")]
    ts += book.integer(2, 40) * HOUR_MS
    found.append(book.case(c, ts, case, "analysing" if kind == "not_resolved" else "resolved"))
    start = ts
    ts += book.integer(9 * 24, 13 * 24) * HOUR_MS if kind == "late" else book.integer(2, 160) * HOUR_MS
    how = book.integer(0, 2)
    if how == 0 and kind not in ("not_resolved", "late"):
        score = book.integer(4, 5) if kind else book.integer(1, 2)
        found.append(book.case(c, ts, case, "followed_up", score))
    elif how == 1:
        text = book.one_of(CONTENT if kind == "happy" else OTHER_BAD)
        found.append(book.said(c, ts, "comment", text, touchpoint="ticket", ticket_id=case))
    else:
        score = book.integer(4, 5) if kind == "happy" else book.integer(1, 2)
        found.append(book.said(c, ts, "csat", None, score, touchpoint="ticket", ticket_id=case))
    assert ts < start + 14 * DAY_MS
    book.tell(cast, found, start, ts, note=kind or "still unhappy", expected=decoy is None)
    if how == 1 and kind != "happy":
        vip = book.pop.tier[c] >= PLATINUM
        book.also("negative_words_vip" if vip else "negative_words", c, ts, ts, "discontent")
