"""The tables of plugins/README.md are what the contract says."""

from pathlib import Path

import contract_tables

ROOT = Path(__file__).parents[1]


def test_the_tables_of_hooks_and_members_are_up_to_date():
    text = (ROOT / contract_tables.PAGE).read_text("utf-8")
    assert contract_tables.updated(text, ROOT) == text, "python tools/contract_tables.py"


def test_every_hook_and_member_has_a_sentence():
    rows = [*contract_tables.hook_rows(ROOT), *contract_tables.member_rows(ROOT)]
    assert [row for row in rows if row.endswith("|  |")] == []
    assert len(rows) > 60


def test_a_row_that_was_edited_by_hand_is_found():
    text = (ROOT / contract_tables.PAGE).read_text("utf-8")
    changed = text.replace("`fit_passes: int`", "`fit_passes: float`")
    assert changed != text
    assert contract_tables.updated(changed, ROOT) == text
