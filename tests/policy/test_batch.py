from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tocsind.policy.batch import Batch, Footprint, form

shares = st.lists(
    st.builds(Footprint, st.integers(0, 900), st.sampled_from("ab"), st.none() | st.integers(1, 5)), min_size=1
)


@given(shares, st.integers(1, 10), st.integers(500, 6000))
def test_batch_fits_and_keeps_order_within_a_key(offered: list[Footprint], most: int, room: int) -> None:
    chosen, _ = form(offered, most, room)
    assert chosen[0] == 0
    going = [offered[place] for place in chosen]
    assert len(going) <= min([most, *(share.max_batch for share in going if share.max_batch)])
    assert len(going) == 1 or sum(share.size for share in going) <= room
    kind = [place for place, share in enumerate(offered) if share.key == offered[0].key]
    assert list(chosen) == kind[: len(chosen)]


@given(shares, st.integers(1, 10), st.integers(500, 6000), st.integers(0, 900))
def test_batch_is_full_exactly_when_no_other_delivery_could_join(
    offered: list[Footprint], most: int, room: int, size: int
) -> None:
    late = Footprint(0, offered[0].key)
    chosen, full = form(offered, most, room)
    joined, _ = form([*offered, late], most, room)
    if full:
        assert joined == chosen
    elif sum(offered[place].size for place in chosen) <= room:
        assert joined == (*chosen, len(offered))


def test_batch_always_has_the_first_delivery() -> None:
    assert form([Footprint(9000), Footprint(1)], 10, 6000) == Batch((0,), is_full=True)
    assert form([Footprint(weight=9000), Footprint(weight=1)], 10, 6000, 6000) == Batch((0,), is_full=True)


def test_batch_limits_bytes_of_attachments() -> None:
    offered = [Footprint(weight=4), Footprint(), Footprint(weight=5), Footprint(weight=2), Footprint()]
    assert form(offered, 10, 6000, 10) == Batch((0, 1, 2), is_full=True)
    assert form(offered, 10, 6000, 11) == Batch((0, 1, 2, 3, 4), is_full=False)


def test_batch_skips_deliveries_with_another_key() -> None:
    assert form([Footprint(1, "a"), Footprint(1, "b"), Footprint(1, "a")], 10, 6000) == Batch((0, 2), is_full=False)


def test_batch_of_ten_is_full_and_of_nine_is_not() -> None:
    assert form([Footprint(1)] * 9, 10, 6000) == Batch(tuple(range(9)), is_full=False)
    assert form([Footprint(1)] * 10, 10, 6000) == Batch(tuple(range(10)), is_full=True)
    assert form([Footprint(1)] * 11, 10, 6000) == Batch(tuple(range(10)), is_full=True)


def test_batch_is_limited_by_code_points() -> None:
    assert form([Footprint(2500)] * 3, 10, 6000) == Batch((0, 1), is_full=True)


def test_batch_shrinks_to_max_batch_of_its_deliveries() -> None:
    assert form([Footprint(1, max_batch=1), Footprint(1)], 10, 6000) == Batch((0,), is_full=True)
    assert form([Footprint(1), Footprint(1, max_batch=2), Footprint(1)], 10, 6000) == Batch((0, 1), is_full=True)


def test_batch_leaves_out_delivery_whose_max_batch_is_reached() -> None:
    assert form([Footprint(1), Footprint(1), Footprint(1, max_batch=1), Footprint(1)], 10, 6000) == Batch(
        (0, 1), is_full=True
    )


def test_batch_counts_the_items_of_a_delivery() -> None:
    three, eight = Footprint(key="k", items=3), Footprint(key="k", items=8)
    assert form([three, three, three, three], 10, 6000) == Batch((0, 1, 2), is_full=True)
    assert form([eight, three], 10, 6000) == Batch((0,), is_full=True)
    assert form([Footprint(key="k", items=10), three], 10, 6000) == Batch((0,), is_full=True)
    assert form([three], 10, 6000) == Batch((0,), is_full=False)
    assert form([Footprint(key="k", items=10)], 10, 6000).is_full
    assert form([three, three], 1, 6000) == Batch((0,), is_full=True)
