"""A template: what becomes of the columns of a roster, as somebody wrote it down and named it.

`username`, `email`, the names, attributes and groups are texts with places to fill in (see
`language.py`). What a template does not speak of comes from the roster's own columns.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import msgspec

from botrix.columns import RowError
from botrix.errors import InvalidInput
from botrix.extra import BLANK, CONTROL, MAX_GROUPS
from botrix.model import ATTRIBUTES

if TYPE_CHECKING:
    from botrix.language import Text

MAX_NAME = 64
MAX_SOURCE = 1000
NAME = r"^[A-Za-z0-9_.-]{1,64}$"
MAX_BODY = 16 * 1024
_TEXTS = ("email", "display_name", "given_name", "family_name")
_Source = Annotated[str, msgspec.Meta(max_length=MAX_SOURCE)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """As it is written. max_length: of the username, which is cut to it. suffixes: whether a
    username that was made before in the roster gets a number, or makes a bad row."""

    username: _Source | None = None
    email: _Source | None = None
    display_name: _Source | None = None
    given_name: _Source | None = None
    family_name: _Source | None = None
    attributes: dict[str, _Source] = {}
    groups: list[_Source] = []
    max_length: Annotated[int, msgspec.Meta(ge=4, le=MAX_NAME)] = MAX_NAME
    suffixes: bool = True


class Template:
    """Ready to be filled in. Raises InvalidInput where a part of it cannot be used."""

    def __init__(self, body: Body) -> None:
        from botrix.language import Text  # here, since it brings 20 MB that most never need

        self.body = body
        self._username = None if body.username is None else Text("username", body.username)
        given = [(name, getattr(body, name)) for name in _TEXTS]
        self._texts = {name: Text(name, text) for name, text in given if text is not None}
        if unknown := sorted(body.attributes.keys() - set(ATTRIBUTES)):
            known = ", ".join(ATTRIBUTES)
            raise InvalidInput(
                f"the template names the attribute {unknown[0][:40]!a}; there are: {known}"
            )
        self._texts |= {name: Text(name, text) for name, text in body.attributes.items()}
        if len(body.groups) > MAX_GROUPS:
            raise InvalidInput(f"the template has more than {MAX_GROUPS} groups; leave some out")
        self._groups = [Text("groups", text) for text in body.groups]

    @property
    def makes_username(self) -> bool:
        return self._username is not None

    @property
    def names_somebody(self) -> bool:
        """Whether it makes what a roster would have to have otherwise."""
        return self.makes_username or not self._texts.keys().isdisjoint(_TEXTS)

    def columns(self) -> frozenset[str]:
        """Those that a roster must have for it."""
        rest = [one.columns for one in (*self._texts.values(), *self._groups)]
        mine = frozenset().union(*rest)
        if self._username is not None:
            mine = (mine - {"username"}) | self._username.columns
        return mine

    def username(self, columns: Mapping[str, str]) -> str:
        """Whole, however long. Raises RowError."""
        assert self._username is not None
        name = _filled(self._username, columns).lower()
        if not name:
            raise RowError("the template makes no username of it; fill in what it is made of")
        return name

    def over(
        self, cells: Mapping[str, str | Sequence[str]], columns: Mapping[str, str]
    ) -> dict[str, str | Sequence[str]]:
        """The cells, with what it says in their place. Raises RowError."""
        made = dict(cells)
        made |= {name: _filled(text, columns) for name, text in self._texts.items()}
        if self._groups:
            filled = ";".join(_filled(text, columns) for text in self._groups)
            made["groups"] = filled
        return made


def _filled(text: Text, columns: Mapping[str, str]) -> str:
    try:
        return unicodedata.normalize("NFC", text.fill(columns)).strip(BLANK)
    except InvalidInput as error:
        raise RowError(str(error)) from None


_decoder = msgspec.json.Decoder(Body)
_encoder = msgspec.json.Encoder(order="sorted")


@lru_cache(maxsize=32)
def read_template(text: str) -> Template:
    """From JSON. Raises InvalidInput."""
    if len(text) > MAX_BODY:
        raise InvalidInput(f"the template is larger than {MAX_BODY // 1024} KiB; shorten it")
    try:
        body = _decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = CONTROL.sub("?", str(error))[:200]
        raise InvalidInput(f"the template cannot be used: {said}") from None
    return Template(body)


def written(template: Template) -> str:
    """The JSON that is kept: the same for the same template, whatever its layout was."""
    return _encoder.encode(template.body).decode()
