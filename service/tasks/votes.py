"""The model's word on clauses that code cannot place: asked once for each, remembered, within the time.

One clause is one question, answered by one of two words. Several to a question, as JSON, was tried: the
default model then gets 28 to 43 of 57 real clauses right instead of 51, and is no faster.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from service.errors import EngineError
from service.tasks.base import Answer, Model, Prompt

SECTION = "review_aspects"
PRAISES, BLAMES = "хвалит", "ругает"
LAYOUT = "1"  # of what is remembered; a change of clauses or of the question takes another
KEPT_TOGETHER = 64  # answers a write: a killed process loses no more
HOPELESS = 8  # failures without a single answer: the engine is down, there is no use in asking on
_WORDS = {PRAISES: 1, BLAMES: -1}


@dataclass(kw_only=True)
class Votes:
    """The votes by clause, and the clauses whose questions failed."""

    known: dict[str, int] = field(default_factory=dict)
    failed: dict[str, EngineError] = field(default_factory=dict)


def question(text: str) -> Prompt:
    """Return the question about one clause."""
    return Prompt(section=SECTION, fields={"text": text}, choice=(PRAISES, BLAMES))


async def collect(model: Model, clauses: Mapping[str, str], *, reserve_s: float) -> Votes:
    """Return votes on the clauses (folded -> as written), asked in their order while there is time.

    `reserve_s` of the time is left over. A question that fails is asked once more.
    Raises the EngineError if every question failed.
    """
    votes = Votes()
    keys = {clause: _key(model, clause) for clause in clauses}
    stored = await asyncio.to_thread(model.answers.get, keys.values())
    votes.known = {clause: int(stored[key]) for clause, key in keys.items() if key in stored}
    rest = [clause for clause in clauses if clause not in votes.known]
    if not await _ask(model, rest, clauses, keys, votes, reserve_s=reserve_s):
        rest = [clause for clause in rest if clause in votes.failed]
        await _ask(model, rest, clauses, keys, votes, reserve_s=reserve_s)
    if votes.failed and not votes.known:
        raise next(iter(votes.failed.values()))
    return votes


async def _ask(
    model: Model,
    rest: Sequence[str],
    clauses: Mapping[str, str],
    keys: Mapping[str, str],
    votes: Votes,
    *,
    reserve_s: float,
) -> bool:
    """Ask, and tell whether there is no use in asking on."""
    left_s = model.left_s() - reserve_s
    if not rest or left_s <= 0:
        return True
    fresh: dict[str, bytes] = {}
    failures = 0
    try:
        async with (
            asyncio.timeout(left_s),
            aclosing(model.spread([question(clauses[one]) for one in rest])) as said,
        ):
            async for index, answer in said:
                clause = rest[index]
                if isinstance(answer, Answer):
                    failures = 0
                    votes.failed.pop(clause, None)
                    votes.known[clause] = vote = _WORDS.get(answer.text.strip(), 0)
                    fresh[keys[clause]] = b"%d" % vote
                else:
                    failures += 1
                    votes.failed[clause] = answer
                    if failures >= HOPELESS:
                        votes.failed |= {one: answer for one in rest if one not in votes.known}
                        return True
                if len(fresh) >= KEPT_TOGETHER:
                    await asyncio.to_thread(model.answers.put, fresh)
                    fresh = {}
    except TimeoutError:
        return True
    finally:
        model.answers.put(fresh)
    return False


def _key(model: Model, clause: str) -> str:
    text = f"{model.identity(SECTION)}|{LAYOUT}|{clause}"
    return hashlib.sha256(text.encode()).hexdigest()
