"""The app as OpenAPI describes it: beside what each route says, the problems that every
route may answer.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from botrix.api.schemas import ProblemView

_REF = "#/components/schemas/{model}"
PROBLEM = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
_ALWAYS = {
    401: "No key, or one that is not good",
    403: "Not allowed to this key, or not from here",
    422: "Cannot be used as it is",
    429: "Too many requests, or over quota; see Retry-After",
    503: "Ledger or line does not answer; see Retry-After",
}
_OF_A_THING = {404: "There is no such thing, or it is another tenant's"}
_OF_AN_ACTION = {409: "Not in this state", 410: "Was done once and for all"}
_OF_A_BODY = {400: "Not JSON, or cut off", 413: "Too large", 415: "Of no kind that is read here"}


class Described(FastAPI):
    """Connections that are no usable HTTP get 400, 408 or 431 besides: see protocol.py."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            made = super().openapi()
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas |= _models()
            for path, operations in made["paths"].items():
                for method, operation in operations.items():
                    _describe(path, method, operation)
            for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own 422
                schemas.pop(unused, None)
        return super().openapi()


def _models() -> dict[str, Any]:
    schema = ProblemView.model_json_schema(ref_template=_REF)
    return {**schema.pop("$defs", {}), "Problem": schema}


def _describe(path: str, method: str, operation: dict[str, Any]) -> None:
    told = operation["responses"]
    told.pop("422", None)
    problems = dict(_ALWAYS)
    if "{" in path:
        problems |= _OF_A_THING | (_OF_AN_ACTION if method == "post" else {})
    if "requestBody" in operation:
        problems |= _OF_A_BODY
    for status, meaning in problems.items():
        told.setdefault(str(status), {"description": meaning, "content": PROBLEM})
