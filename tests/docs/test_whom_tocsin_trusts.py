"""Each sentence of docs/explanation/whom-tocsin-trusts.md has a test: this table names it, and the tests here check that it exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/whom-tocsin-trusts.md"

PROVED_BY = {  # the beginning of a sentence -> the tests
    "`./alerts.toml` counts only": "wire/test_configuration.py::test_configuration_that_others_may_write_is_passed_over_with_one_notice",
    "A file there that does not count": "contracts/test_trust.py::test_root_ignores_configuration_of_stranger_in_working_folder",
    "That holds for root too": "contracts/test_trust.py::test_root_ignores_configuration_of_stranger_in_working_folder",
    "A file that is named": "config/test_default.py::test_named_file_that_others_may_write_is_used_with_a_warning",
    "`/etc/tocsin/alerts.toml` is used": "wire/test_configuration.py::test_configuration_that_others_may_change_starts_no_daemon",
    "A configuration that is there": "wire/test_configuration.py::test_unreadable_configuration_notice_names_the_paths_used",
    "A secret's file": "config/test_webhooks.py::test_secret_file_open_to_others_is_refused_with_a_command",
    "A webhook's token": "config/test_webhook_url.py::test_webhook_on_another_host_must_be_https",
    "A client sends only": "contracts/test_trust.py::test_client_sends_to_owner_of_state_folder",
    "Any other listener": "contracts/test_trust.py::test_client_sends_no_byte_to_listener_of_stranger",
    "The owner of the system's": "contracts/test_trust.py::test_client_sends_to_owner_of_system_state_and_to_named_uid",
    "Under socket activation": "contracts/test_trust.py::test_client_checks_uid_of_listener_not_of_replying_process",
    "A private folder": "client/test_bad_connections.py::test_private_folder_that_others_may_enter_is_refused_and_signal_spooled",
    "A state folder of another user": "contracts/test_trust.py::test_daemon_and_check_of_root_refuse_state_folder_of_another_user",
    "So is one that others": "host/test_state_folder.py::test_state_folder_that_others_may_write_to_is_refused",
    "A link, or another": "host/test_state_folder.py::test_state_folder_with_a_link_under_a_reserved_name_is_refused",
    "A file destination, a log": "contracts/test_trust.py::test_daemon_refuses_log_file_of_stranger",
    "A file destination that": "destinations/test_file_destination.py::test_file_of_another_user_is_not_appended_to",
    "A command (`kind": "destinations/test_exec_destination.py::test_command_below_a_folder_that_others_may_change_is_refused",
    "Root changes the owner": "client/test_attachments.py::test_root_gives_the_spools_owner_the_folder_it_made_and_no_other",
    "Root and the daemon's": "contracts/test_members.py::test_member_drops_and_retries_own_signals_only",
    "A member may send": "contracts/test_members.py::test_member_sends_and_reads_status",
    "A member may `drop`": "contracts/test_members.py::test_member_drops_and_retries_own_signals_only",
    "A member has expectations": "contracts/test_expectations.py::test_member_has_expectations_of_its_own",
    "A member may `ack`": "contracts/test_time.py::test_member_may_acknowledge_the_signal_of_another",
    "A member may `silence`": "contracts/test_silences.py::test_member_silences_signals_of_others_and_ends_any_silence",
    "`enable` and": "contracts/test_members.py::test_member_may_not_use_operator_requests",
    "A member reads": "contracts/test_members.py::test_member_cannot_read_files_of_daemon",
    "A stranger cannot": "contracts/test_members.py::test_user_outside_group_cannot_connect",
    "A member who may make": "ipc/test_owners.py::test_all_subordinate_uids_of_a_user_are_one_owner",
    "A signal that claims": "contracts/test_members.py::test_signal_with_reserved_source_is_stored_with_its_sender",
    "A program's webhook": "contracts/test_client_webhooks.py::test_other_user_sends_signals_but_adds_no_client_webhook",
    "A member leaves": "contracts/test_spool_users.py::test_member_of_spool_group_spools_under_own_uid",
    "No member can change": "contracts/test_spool_users.py::test_member_cannot_change_spool_files_of_others",
    "No member can make the daemon": "contracts/test_spool_users.py::test_member_cannot_make_daemon_read_files_of_others",
    "No member can attach": "contracts/test_attachments.py::test_member_cannot_attach_file_of_another_user",
    "A spool that is not": "contracts/test_spool_users.py::test_private_spool_refuses_stranger_with_reason",
    "Without a token only": "http/test_routing.py::test_router_without_token_knows_open_paths_only",
    "Another site that a browser": "page/test_page.py::test_foreign_page_can_neither_read_nor_frame_nor_post",
    "What a signal says": "page/test_page.py::test_hostile_texts_stay_text",
    "A browser's cookie": "http/test_routing.py::test_cookie_permits_reading_and_never_sending",
    "A token of one": "http/test_intake_access.py::test_token_for_one_destination_reaches_no_other",
    "No request over HTTP": "http/test_send.py::test_file_cannot_be_named_over_http",
    "No log has a token": "http/test_intake_access.py::test_log_names_no_token",
    "A program that sees only": "contracts/test_trust.py::test_client_checks_uid_of_listener_not_of_replying_process",
    "In a user namespace": "contracts/test_members.py::test_program_in_user_namespace_sends_only_to_named_uid",
    "A volume that root owns": "host/test_state_folder.py::test_state_folder_of_a_user_below_roots_is_created_and_roots_own_is_refused",
    "Every configured secret": "daemon/test_secret.py::test_redacted_replaces_a_secret_in_every_form",
    "So is what looks": "daemon/test_secret.py::test_redacted_replaces_token_shapes_that_are_not_configured",
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
