"""By which template and mapping a roster is read."""

from __future__ import annotations

from botrix.api.door import Here
from botrix.drafts import Form
from botrix.errors import InvalidInput, NotFound
from botrix.ledger.templates import Templates
from botrix.mappings import read_mapping
from botrix.templates import read_template, written


async def form_of(here: Here, template: str | None, mapping: str | None) -> Form:
    """template: a name; mapping: a name, or JSON. Raises InvalidInput."""
    columns = read_mapping(mapping)
    if template is None:
        return Form(columns)
    try:
        row = await Templates(here.queries.engine).get(here.tenant, template)
    except NotFound as error:
        raise InvalidInput(str(error)) from None
    return Form(columns, read_template(row["body"]))


def fingerprint(form: Form) -> str:
    """What makes another request of the same roster; "" where it is read as it stands."""
    body = "" if form.template is None else written(form.template)
    return f"{body}:{form.mapping.text}:" if body or form.mapping.text else ""
