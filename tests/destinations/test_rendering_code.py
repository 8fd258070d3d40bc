"""Output of programs: shown in a code block, without escape sequences, its end kept."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.destinations.signals import delivery, embed, plain

from tocsind.rendering.discord.code import code_block
from tocsind.rendering.discord.embed import length
from tocsind.rendering.discord.markup import FENCE, cut
from tocsind.rendering.text import MARK, clean, output_of_program

OUTPUT = st.text(st.sampled_from("`\\*ab \n\r\t\x1b[31mK]0;;é🙂"), max_size=400)


def block_of(output: str, most: int) -> str:
    return code_block(output_of_program(output), most)


def inside(block: str) -> str:
    """The text of a block, whose fences are where they belong and nowhere else."""
    assert (block.count(FENCE), block[:4], block[-4:]) == (2, f"{FENCE}\n", f"\n{FENCE}")
    return block[4:-4]


@given(OUTPUT, st.integers(1, 300))
def test_code_block_holds_any_output_within_its_room(output: str, most: int) -> None:
    block = block_of(output, most)
    assert len(block) <= most
    assert "\x1b" not in block
    if block and block != MARK:
        assert inside(block)


@given(OUTPUT, st.integers(20, 300), st.integers(20, 300))
def test_code_block_that_is_cut_again_is_a_code_block(output: str, first: int, second: int) -> None:
    again = cut(block_of(output, first), second)
    assert len(again) <= second
    assert not again or inside(again)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("\x1b[1;31mERROR\x1b[0m disk", "ERROR disk"),
        ("\x1b]0;title\x07ls", "ls"),
        ("\x1b]8;;https://example.com\x1b\\a link\x1b]8;;\x1b\\", "a link"),
        ("\x9b32mok", "ok"),
        ("\x1b(B\x1b[?25lready\x1b[?25h", "ready"),
        ("\x1bPq#0;2;0;0;0\x1b\\sixel", "sixel"),
        ("half \x1b[", "half"),
    ],
)
def test_escape_sequence_of_a_terminal_is_removed_whole(output: str, text: str) -> None:
    assert clean(output) == text
    assert inside(block_of(output, 100)) == text


def test_line_that_a_program_overwrote_shows_its_last_state() -> None:
    assert inside(block_of("1 %\r50 %\r100 %\ndone\r\n", 100)) == "100 %\ndone"


def test_fence_in_the_output_does_not_end_the_block() -> None:
    assert (
        inside(block_of("a\n```\n@everyone **b**\n````", 100)).replace("\u200b", "") == "a\n```\n@everyone **b**\n````"
    )


def test_indentation_and_tables_stay_as_they_are() -> None:
    table = "   NAME   SIZE\n   a.csv   1_0*2"
    assert inside(block_of(f"\n{table}\n\n", 100)) == table


def test_end_of_long_output_is_kept_from_the_start_of_a_line() -> None:
    lines = [f"line {number}" for number in range(1000)]
    kept = inside(block_of("\n".join(lines), 200)).split("\n")
    assert kept[0] == MARK
    assert kept[1:] == lines[-len(kept) + 1 :]


def test_embed_shows_code_in_a_block_and_stays_within_the_limits() -> None:
    shown = embed(delivery("make failed", body="x * `y`\n" * 600, code=True, fields={"exit code": 2}))
    assert inside(shown["description"]).startswith(MARK)
    assert length(shown) <= 6000
    assert [field["name"] for field in shown["fields"]] == ["exit code"]
    assert plain(delivery("make failed", body="x * y", code=True))["description"].startswith(
        f"{FENCE}\nx * y\n{FENCE}\n"
    )


def test_body_without_code_is_escaped_as_before() -> None:
    assert embed(delivery("t", body="```x```"))["description"] == r"\`\`\`x\`\`\`"


def test_footer_names_the_host() -> None:
    footer = embed(delivery("t", source="backup", host="web1"))["footer"]["text"]
    assert "backup on web1" in footer


@settings(deadline=None)
@given(st.sampled_from(["\r", "\x1b", "`", "\x1b]"]))
def test_code_block_of_hostile_output_is_fast(piece: str) -> None:
    began = time.process_time()
    block_of(piece * 50_000, 4096)
    assert time.process_time() - began < 5  # quadratic searches take minutes
