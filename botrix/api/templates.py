"""/api/templates: how usernames, e-mails, names and groups are made of a roster's columns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from botrix.api.door import Operates, Reads, Submits
from botrix.api.forms import form_of
from botrix.api.rows import planned
from botrix.api.schemas import BadRowView, time_of
from botrix.drafts import Form
from botrix.errors import InvalidInput
from botrix.identity import Planner
from botrix.ledger.templates import Templates
from botrix.mappings import MOST, read_mapping
from botrix.repeats import Repeats, RosterRow
from botrix.roster import BadRow, RosterReader, Row
from botrix.templates import MAX_NAME, MAX_SOURCE, NAME, read_template, written

router = APIRouter(prefix="/api/templates", tags=["templates"])
_PREVIEWED = 100
_KIB = 1024
Name = Annotated[str, Path(pattern=NAME)]
_Source = Annotated[str, Field(max_length=MAX_SOURCE, strict=True)]


class TemplateBody(BaseModel):
    """Texts in Liquid over the columns of a roster. max_length: of the username, which is cut to
    it. suffixes: whether a username that repeats gets a number, or makes a bad row."""

    model_config = ConfigDict(extra="forbid")
    username: _Source | None = None
    email: _Source | None = None
    display_name: _Source | None = None
    given_name: _Source | None = None
    family_name: _Source | None = None
    attributes: dict[str, _Source] = {}
    groups: list[_Source] = []
    max_length: Annotated[StrictInt, Field(ge=4, le=MAX_NAME)] = MAX_NAME
    suffixes: StrictBool = True

    def text(self) -> str:
        """The JSON that is read."""
        return self.model_dump_json(exclude_none=True)


class TemplateView(BaseModel):
    """A template under its name."""

    name: str
    body: TemplateBody
    created_at: datetime
    updated_at: datetime


class TemplateList(BaseModel):
    """All that the tenant has."""

    items: list[TemplateView]


class PreviewRequest(BaseModel):
    """The first rows of a roster. template: a name, or a body. mapping: a name, or by column."""

    model_config = ConfigDict(extra="forbid")
    template: Annotated[str, Field(pattern=NAME, strict=True)] | TemplateBody | None = None
    mapping: Annotated[str, Field(max_length=MOST, strict=True)] | dict[str, str | None] | None = (
        None
    )
    content: Annotated[str, Field(max_length=64 * _KIB, strict=True)]
    content_type: Literal["text/csv", "application/x-ndjson"] = "text/csv"


class PreviewRow(BaseModel):
    """Who a row would become."""

    row: int
    username: str
    email: str
    given_name: str
    family_name: str
    display_name: str
    groups: list[str]
    attributes: dict[str, str]


class ColumnView(BaseModel):
    """A column of the header. means: a field, `template` where that uses it, `check` where it only
    leaves rows out; null where it means nothing here."""

    name: str
    means: str | None


class PreviewView(BaseModel):
    """What would become of the first 100 rows. mapping: the system whose header it is. columns:
    those of a CSV."""

    mapping: str | None
    columns: list[ColumnView]
    ignored_columns: list[str]
    rows: list[PreviewRow | BadRowView]


@router.get("", response_model=TemplateList, response_model_exclude_none=True)
async def templates(here: Reads) -> dict[str, Any]:
    """The templates, by name."""
    rows = await Templates(here.queries.engine).shown(here.tenant)
    return {"items": [_view(row) for row in rows]}


@router.get("/{template}", response_model=TemplateView, response_model_exclude_none=True)
async def template_of(here: Reads, template: Name) -> dict[str, Any]:
    """One template."""
    return _view(await Templates(here.queries.engine).get(here.tenant, template))


@router.put("/{template}", response_model=TemplateView, response_model_exclude_none=True)
async def put(here: Operates, template: Name, body: TemplateBody) -> dict[str, Any]:
    """Keep it under this name, in place of an earlier one."""
    kept = Templates(here.queries.engine)
    text = written(read_template(body.text()))
    await kept.put(here.tenant, template, text, here.who.actor)
    return _view(await kept.get(here.tenant, template))


@router.delete("/{template}", status_code=204)
async def remove(here: Operates, template: Name) -> None:
    """What was made by it stays."""
    await Templates(here.queries.engine).remove(here.tenant, template, here.who.actor)


@router.post("/preview", response_model=PreviewView)
async def preview(here: Submits, asked: PreviewRequest) -> dict[str, Any]:
    """What would become of each row, or why it would be left out. Nothing is kept."""
    said = asked.mapping
    mapping = json.dumps(said) if isinstance(said, dict) else said
    if isinstance(asked.template, TemplateBody):
        form = Form(read_mapping(mapping), read_template(asked.template.text()))
    else:
        form = await form_of(here, asked.template, mapping)
    reader = RosterReader(asked.content_type, form)
    read = await asyncio.to_thread(_read, reader, asked.content)
    rows = await _settled(here.services.planner, read[:_PREVIEWED])
    columns = [{"name": name, "means": means} for name, means in reader.columns]
    ignored = list(reader.ignored_columns)
    return {"mapping": reader.mapping, "columns": columns, "ignored_columns": ignored, "rows": rows}


def _view(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: time_of(row[name]) for name in ("created_at", "updated_at")}
    return {"name": row["name"], "body": json.loads(row["body"]), **times}


def _read(reader: RosterReader, content: str) -> list[Row | BadRow]:
    return [*reader.feed(content.encode()), *reader.finish()]


async def _settled(planner: Planner, rows: list[Row | BadRow]) -> list[dict[str, Any]]:
    """As an import would do it."""
    good, bad = [], []
    for row in rows:
        try:
            if isinstance(row, BadRow):
                raise InvalidInput(row.reason)
            good.append(planned(planner, row, ""))
        except InvalidInput as error:
            bad.append((row.number, str(error)))
    named, repeated = await Repeats().settle(good, _nobody)
    told = [{"row": number, "reason": reason} for number, reason in (*bad, *repeated)]
    return sorted((*map(_shown, named), *told), key=lambda one: int(one["row"]))


async def _nobody(_names: Collection[str]) -> dict[str, int]:
    return {}


def _shown(row: RosterRow) -> dict[str, Any]:
    person = row.person
    return {
        "row": row.number,
        "username": person.username,
        "email": person.email,
        "given_name": person.given_name,
        "family_name": person.family_name,
        "display_name": person.display_name,
        "groups": list(person.groups),
        "attributes": person.attributes,
    }
