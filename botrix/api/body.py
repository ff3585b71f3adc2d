"""What a body may be: how large, and which JSON."""

from __future__ import annotations

import json
import math
from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.types import Message, Receive

from botrix.api.problems import Problem

M = TypeVar("M", bound=BaseModel)

MIB = 1024 * 1024
IMPORT_PATH = "/api/accounts/import"
_DEEPEST = 32


def limit_of(path: str) -> int:
    """Bytes of a body; a streamed roster has its own."""
    return 1024 * MIB if path == IMPORT_PATH else MIB


def counted(receive: Receive, limit: int) -> Receive:
    """Raises Problem once more than `limit` bytes came."""
    got = 0

    async def count() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:
            raise Problem(413, "Too large", too_large(limit))
        return message

    return count


def too_large(limit: int) -> str:
    """The line for people."""
    return f"the body is larger than {limit // MIB} MiB; send less, or a roster to {IMPORT_PATH}"


def read_as(model: type[M], body: bytes) -> M:
    """Raises Problem where it is no JSON, RequestValidationError where it is another thing."""
    try:
        return model.model_validate(strict_json(body))
    except ValidationError as error:
        errors = [{**e, "loc": ("body", *e["loc"])} for e in error.errors()]
        raise RequestValidationError(errors) from None


def strict_json(body: bytes) -> object:
    """JSON without NaN, doubled keys or deep nesting. Raises Problem."""
    try:
        said: object = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise Problem(400, "Not JSON", "the body is nested too deeply") from None
    except ValueError as error:
        raise Problem(400, "Not JSON", f"the body is not usable JSON: {error}"[:300]) from None
    if body.count(b"[") + body.count(b"{") > _DEEPEST and _depth(said) > _DEEPEST:
        raise Problem(400, "Not JSON", "the body is nested too deeply")
    return said


def _depth(said: object) -> int:
    """Of lists and objects; level by level, since what is deep must not be looked at by
    recursion."""
    level, depth = [said], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [
            inner for one in level for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is given twice")
    return made


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _constant(text: str) -> object:
    raise ValueError(f"{text} is not a number")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_finite)
"""Made once: json.loads, which does the same, makes one each time."""
