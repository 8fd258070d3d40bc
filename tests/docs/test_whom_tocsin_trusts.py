"""Each sentence of docs/explanation/whom-tocsin-trusts.md has a test: this table names it, and the tests here check that it exists."""

# ruff: noqa: E501 - a row each

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/whom-tocsin-trusts.md"

PROVED_BY = {  # the beginning of a sentence -> the tests
    "`./alerts.toml` counts only": "wire/test_configuration.py::test_file_that_somebody_else_could_write_is_passed_over_and_that_is_said_once",
    "A file there that does not count": "contracts/test_trust.py::test_root_obeys_no_configuration_of_a_stranger_in_the_working_folder",
    "That holds for root too": "contracts/test_trust.py::test_root_obeys_no_configuration_of_a_stranger_in_the_working_folder",
    "A file that is named": "config/test_default.py::test_named_file_that_somebody_else_can_change_is_obeyed_and_doubted",
    "`/etc/tocsin/alerts.toml` is used": "wire/test_configuration.py::test_systems_file_that_somebody_else_can_change_starts_no_daemon",
    "A configuration that is there": "wire/test_configuration.py::test_file_that_cannot_be_read_is_said_with_where_signals_go_instead",
    "A secret's file": "config/test_webhooks.py::test_a_file_that_others_can_read_or_change_is_refused_with_the_command_that_mends_it",
    "A webhook's token": "config/test_webhook_url.py::test_token_goes_to_another_host_by_https_only_whatever_is_permitted",
    "A client sends only": "contracts/test_trust.py::test_owner_of_the_state_folder_may_listen",
    "Any other listener": "contracts/test_trust.py::test_listener_of_stranger_gets_not_a_byte",
    "The owner of the system's": "contracts/test_trust.py::test_owner_of_the_systems_state_and_the_uid_that_is_named_may_listen",
    "Under socket activation": "contracts/test_trust.py::test_listener_is_who_listens_and_not_who_answers",
    "A private folder": "client/test_bad_connections.py::test_private_folder_that_others_may_enter_is_refused_and_the_signal_is_spooled",
    "A state folder of another user": "contracts/test_trust.py::test_roots_daemon_and_its_check_refuse_the_state_folder_of_another_user",
    "So is one that others": "host/test_state_folder.py::test_state_folder_that_others_may_write_to_is_refused",
    "A link, or another": "host/test_state_folder.py::test_link_with_a_name_of_ours_is_refused",
    "A file destination, a log": "contracts/test_trust.py::test_daemon_writes_its_log_to_no_file_of_a_stranger",
    "A file destination that": "destinations/test_file_destination.py::test_file_of_another_user_is_not_appended_to",
    "Root changes the owner": "client/test_attachments.py::test_root_gives_the_spools_owner_the_folder_it_made_and_no_other",
    "Root and the daemon's": "contracts/test_members.py::test_member_may_drop_and_retry_his_own_signals_only",
    "A member may send": "contracts/test_members.py::test_member_may_send_and_read",
    "A member may `drop`": "contracts/test_members.py::test_member_may_drop_and_retry_his_own_signals_only",
    "`enable` and": "contracts/test_members.py::test_member_may_not_decide_for_all",
    "A member reads": "contracts/test_members.py::test_member_reads_no_file_of_the_daemons",
    "A stranger cannot": "contracts/test_members.py::test_who_is_not_in_the_group_may_nothing",
    "A member who may make": "ipc/test_owners.py::test_all_subordinate_uids_of_a_user_are_one_owner",
    "A signal that claims": "contracts/test_members.py::test_signal_that_claims_to_be_tocsins_is_taken_and_says_who_sent_it",
    "A program's webhook": "contracts/test_client_webhooks.py::test_another_user_may_hand_in_signals_and_lends_nothing",
    "A member leaves": "contracts/test_spool_users.py::test_a_member_of_a_shared_spools_group_hands_in_as_himself",
    "No member can change": "contracts/test_spool_users.py::test_a_member_cannot_touch_what_others_handed_in",
    "No member can make the daemon": "contracts/test_spool_users.py::test_a_member_cannot_make_us_read_what_is_not_his",
    "No member can attach": "contracts/test_attachments.py::test_a_member_cannot_have_anothers_file_posted",
    "A spool that is not": "contracts/test_spool_users.py::test_a_private_spool_takes_nothing_from_a_stranger_and_he_is_told",
    "A program that sees only": "contracts/test_trust.py::test_listener_is_who_listens_and_not_who_answers",
    "In a user namespace": "contracts/test_members.py::test_program_in_a_members_container_hands_over_only_where_it_is_told_the_daemons_uid",
    "A volume that root owns": "host/test_state_folder.py::test_user_makes_a_state_folder_below_roots_and_is_told_that_roots_own_is_none",
    "Every configured secret": "daemon/test_secret.py::test_secret_is_struck_in_every_form",
    "So is what looks": "daemon/test_secret.py::test_shape_of_a_token_is_struck_though_nobody_configured_it",
}


def sentences() -> list[str]:
    return [line.removeprefix("- ") for line in PAGE.read_text().splitlines() if line.startswith("- ")]


def test_table_has_no_entry_without_sentence() -> None:
    assert [start for start in PROVED_BY if not any(each.startswith(start) for each in sentences())] == []


@pytest.mark.parametrize("sentence", sentences(), ids=lambda each: each[:40])
def test_sentence_has_a_test(sentence: str) -> None:
    [proof] = [proof for start, proof in PROVED_BY.items() if sentence.startswith(start)]
    file, _, name = proof.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert name in found
