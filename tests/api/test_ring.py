"""The ring of events against a plain list of all that ever happened."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from botrix.api.ring import Item, Ring, Wish, chunks

_TENANTS = ("a", "b")
_STEP = st.one_of(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(_TENANTS), st.sampled_from("xyz")), max_size=9
    ),
    st.just("anew"),
)


def _item(n: int, in_stream: bool, tenant: str, key: str) -> Item:
    return Item(f"{n}-0" if in_stream else "", tenant, key, b"%d;" % n)


def _frames(ring: Ring, wish: Wish, number: int) -> list[bytes] | None:
    batch = ring.batch(wish, number)
    if batch is None:
        return None
    assert batch.end == ring.end
    return [part for part in b"".join(batch.chunks).split(b";") if part]


@given(st.lists(_STEP, max_size=30), st.integers(0, 99), st.sampled_from(_TENANTS))
def test_nobody_is_sent_anything_but_what_followed(
    steps: list[str | list[tuple[bool, str, str]]], number: int, tenant: str
) -> None:
    ring, every = Ring(most=8), list[Item]()
    for step in steps:
        if isinstance(step, str):
            ring.begin("anew")
            assert ring.number_after("anew") == ring.end
        else:
            items = [_item(len(every) + n, *one) for n, one in enumerate(step)]
            ring.add(items)
            every += items
        assert ring.end == len(every)
        assert len(every) - ring.first <= 2 * ring.most
        _check(ring, every, tenant, min(number, len(every)))


def _check(ring: Ring, every: list[Item], tenant: str, number: int) -> None:
    mine = [(n, one) for n, one in enumerate(every) if one.tenant_id == tenant and n >= number]
    told = _frames(ring, Wish(tenant), number)
    if number < ring.first:
        assert told is None
        return
    assert told == [one.frame.rstrip(b";") for _, one in mine]
    assert _frames(ring, Wish(tenant), number) == told  # also from the cache
    assert _frames(ring, Wish(tenant, "x"), number) == [
        one.frame.rstrip(b";") for _, one in mine if one.key == "x"
    ]
    last = {one.key: n for n, one in mine}
    assert _frames(ring, Wish(tenant, newest=True), number) == [
        one.frame.rstrip(b";") for n, one in mine if last[one.key] == n
    ]
    for n, one in enumerate(every):
        if one.id and n + 1 != ring.first:  # whose place is known unless the ring began there
            assert ring.number_after(one.id) == (n + 1 if n >= ring.first else None)


def test_a_place_right_before_the_oldest_is_known() -> None:
    ring = Ring(most=4)
    ring.add([_item(n, True, "a", "x") for n in range(9)])
    assert ring.first == 5
    assert ring.number_after("4-0") == 5
    assert ring.number_after("3-0") is None
    assert ring.newest == "8-0"


def test_of_too_many_jobs_the_last_ones_are_told() -> None:
    ring = Ring()
    ring.add([Item(f"{n}-0", "a", f"j{n}", b"%d;" % n) for n in range(1001)])
    batch = ring.batch(Wish("a", newest=True), 0)
    assert batch is not None
    assert batch.left_out
    assert b"".join(batch.chunks).startswith(b"1;2;")


def test_what_is_sent_at_once_is_bounded() -> None:
    parts = chunks([b"x" * 1000] * 300)
    assert max(map(len, parts)) <= 64 * 1024 + 1000
    assert sum(map(len, parts)) == 300_000
    assert chunks([]) == []
