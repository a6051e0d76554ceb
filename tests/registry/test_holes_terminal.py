"""What a plugin, a server or a run file writes reaches the terminal as text alone."""

import subprocess
import sys

import pytest
from registry_world import ORIGIN

from specloom import ConfigError, SpecloomWarning, printable
from specloom.contract.errors import warn
from specloom_registry.base.faults import redacted
from specloom_registry.base.table import table
from specloom_registry.commands import options
from specloom_registry.model.source import check_url

EVIL = "a\x1b]0;owned\x07\x9b31mb\u202ec\u2066\rd\u2028e\x7f"
SHOWN = "a\\u001b]0;owned\\u0007\\u009b31mb\\u202ec\\u2066\\u000dd\\u2028e\\u007f"
URL = "https://localhost:9/acme/rx.git"


def test_line_ends_tabs_and_letters_of_all_languages_stay():
    text = "eins\tzwei\nü 漢字 \u05e2\u05d1\u05e8\u05d9\u05ea 🙂"
    assert printable(text) == text
    assert printable(EVIL) == SHOWN


def test_errors_and_warnings_are_shown_as_text():
    error = ConfigError(EVIL, where=EVIL, fix=EVIL)
    assert str(error) == f"{SHOWN}: {SHOWN}\n  fix: {SHOWN}"
    for where in ("", "run.yaml:1"):
        with pytest.warns(SpecloomWarning) as caught:
            warn(EVIL, where)
        assert str(caught[0].message) == SHOWN


def test_tables_and_results_are_shown_as_text(capsys):
    assert table([["tag"], [EVIL]]).splitlines()[2] == SHOWN
    options.print_result({"tag": EVIL}, False, [EVIL])
    options.print_result({"tag": EVIL}, True, [])
    options.print_warnings([EVIL])
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == SHOWN
    assert printable(out + err) == out + err
    assert __import__("json").loads("".join(out.splitlines()[1:])) == {"tag": EVIL}


@pytest.fixture
def hostile(world):
    """A plugin whose documentation, exception and descriptor hold escape sequences."""
    import json

    repo = world.repo("rx")
    node = {"kind": "nodes", "doc": EVIL, "inputs": {}, "outputs": {}, "params": {}, "required": []}
    described = {"Twice": node}
    repo.commit(
        {
            "acme_rx/nodes.json": json.dumps(described),
            "acme_rx/nodes.py": f"raise ValueError({EVIL!r})",
        }
    )
    repo.tag("v1.0.0", force=True)
    world.wants("rx@v1.0.0")
    world.run("lock")
    return world


COMMANDS = [
    ("nodes",),
    ("nodes", "rx.Twice"),
    ("nodes", "--json"),
    ("schema",),
    ("check", "run.yaml"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_what_a_plugin_says_as_it_is(hostile, command):
    run = "nodes:\n  x: {type: rx.Twice}\nconnections: []\n"
    (hostile.project / "run.yaml").write_text(run)
    done = subprocess.run(
        [sys.executable, "-m", "specloom", *command],
        cwd=hostile.project,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert printable(said) == said
    assert "owned" in said


@pytest.mark.parametrize("mark", ["?token=CANARY", "#CANARY", "?CANARY"])
def test_a_query_in_a_url_is_refused_and_not_shown(world, mark):
    with pytest.raises(ConfigError) as caught:
        check_url(f"{URL}{mark}", "plugin 'rx'", "plugins.yaml:3")
    assert caught.value.what == (
        f"E-URL plugin 'rx': '{URL}{mark[0]}***' holds a query, which may be a secret"
    )
    assert caught.value.fix == "use a credential helper or ssh"
    world.write(f"rx: {{git: '{ORIGIN}rx.git{mark}', tag: v1.0.0}}")
    done = world.run("lock", code=2)
    assert "CANARY" not in done.output + str(done.error)
    assert not world.lock.exists()


def test_a_query_in_a_message_of_git_or_pip_is_not_shown():
    text = f"fatal: unable to access '{URL}?private_token=CANARY': 403"
    assert redacted(text) == f"fatal: unable to access '{URL}?***': 403"
