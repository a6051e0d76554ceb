"""T1 to T5: what a URL or a tag may not be, reported before git is started."""

import pytest

from specloom import ConfigError
from specloom_registry.base.faults import redacted
from specloom_registry.fetch import git
from specloom_registry.model import manifest
from specloom_registry.model.source import Source

ALLOWED = "use https://host/path, ssh://host/path or git@host:path, or name a folder with 'path:'"
DASH = "source url may not start with '-'"
KIND = "source url {url!r} is of a kind that is not allowed"
BLANK = "source url {url!r} holds a space or a control character"
URLS = [
    ("--upload-pack=touch x", DASH),
    ("-u./payload", DASH),
    ("-", DASH),
    *[
        (url, KIND)
        for url in (
            "ssh://-oProxyCommand=touch/x",
            "ssh://a@-oProxyCommand=touch/x",
            "git@h:-x",
            "git@-h:x",
            "ext::sh",
            "fd::17",
            "git://example.org/x",
            "http://example.org/x",
            "HTTPS://example.org/x",
            "ftp://example.org/x",
            "example.org/x",
            "../x",
            "/srv/x",
            "https://",
            "https:///x",
            "https://example.org",
            "ext::sh%20-c",
            "git@h::x",
        )
    ],
    *[
        (url, BLANK)
        for url in (
            "https://example.org/a b",
            "https://example.org/a\nb",
            "https://example.org/\x07",
            " https://example.org/x",
            "ext::sh -c touch",
        )
    ],
]
TAGS = [
    *("v*", "v1:refs/heads/x", "v^{}", "v@{1}", "a..b", "v.lock", "a b", "a\nb", "v?", "v["),
    *("-v1", "--output=x", "/v1", "v1/", "v1//2", "", "v" * 200, "v1.", "refs\\x", "~1", "a:b"),
]


def write(world, **keys):
    pairs = ", ".join(f'{key}: "{escaped(value)}"' for key, value in keys.items())
    return world.write(f"rx: {{{pairs}}}", mirrored=False)


def escaped(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\x07", "\\a")


@pytest.mark.parametrize(("url", "what"), URLS)
def test_a_hostile_url_is_refused_before_git_is_started(world, monkeypatch, url, what):
    monkeypatch.setenv("PATH", "/nowhere")
    file = write(world, git=url, tag="v1.0.0")
    with pytest.raises(ConfigError) as caught:
        manifest.read(file)
    assert caught.value.what == f"E-URL plugin 'rx': {what.format(url=redacted(url))}"
    assert (caught.value.where, caught.value.fix) == (f"{file}:3", ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/x.git",
        "https://example.org:8443/a/b",
        "ssh://git@example.org/x",
        "git@example.org:acme/x.git",
    ],
)
def test_plain_urls_are_taken(world, url):
    assert manifest.read(write(world, git=url, tag="v1.0.0")).entries[0].source.git == url


@pytest.mark.parametrize("user", ["me:secret", "secret"])
def test_credentials_in_a_url_are_refused_and_not_shown(world, user):
    file = write(world, git=f"https://{user}@example.org/x", tag="v1")
    with pytest.raises(ConfigError) as caught:
        manifest.read(file)
    assert caught.value.what == "E-URL plugin 'rx': 'https://***@example.org/x' holds credentials"
    assert caught.value.fix == "use a credential helper or ssh"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_that_is_no_plain_name_is_refused(world, tag):
    file = write(world, git="https://example.org/x", tag=tag)
    with pytest.raises(ConfigError) as caught:
        manifest.read(file)
    shown = tag if len(tag) <= 40 else f"{tag[:37]}..."
    assert caught.value.what == f"E-TAG plugin 'rx': {shown!r} is not a tag that can be pinned"
    assert caught.value.fix == "name one tag in full, such as v1.2.0"


@pytest.mark.parametrize("tag", ["v1.0.0", "release/1.0", "rx-v1.2", "1.0+cpu", "a" * 40])
def test_plain_tags_are_taken(world, tag):
    file = write(world, git="https://example.org/x", tag=tag)
    assert manifest.read(file).entries[0].source.tag == tag


def test_a_local_repository_needs_a_word(world):
    repo = world.repo("rx")
    world.write(f"rx: {{git: {repo.url}, tag: v1.0.0}}")
    done = world.run("lock", code=2)
    assert done.error.what == f"E-URL plugin 'rx': {repo.url!r} is a local repository"
    assert done.error.fix == (
        "name the plugin's folder with 'path:', or allow it with --allow-file"
    )
    world.run("lock", "--allow-file")
    assert world.trees()


@pytest.mark.parametrize("url", ["--upload-pack=touch {x};", "ext::sh -c 'touch {x}' %S"])
def test_past_the_validator_nothing_runs_either(world, tmp_path, monkeypatch, url):
    payload, config = tmp_path / "ran", tmp_path / "gitconfig"
    config.write_text('[protocol "ext"]\n\tallow = always\n[protocol]\n\tallow = always\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    for call in (
        lambda one: git.tags(one),
        lambda one: git.fetch(tmp_path / "bare", one, "v1.0.0"),
    ):
        with pytest.raises(git.GitError):
            call(url.format(x=payload))
    assert not payload.exists()


@pytest.mark.parametrize("to", ["ext::sh -c touch% {x} %S ", "file://{x}"])
def test_a_redirection_in_the_user_s_configuration_does_not_widen_what_is_allowed(
    world, tmp_path, monkeypatch, to
):
    payload, config = tmp_path / "ran", tmp_path / "gitconfig"
    config.write_text(f'[url "{to.format(x=payload)}"]\n\tinsteadOf = https://example.org/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    world.write("rx: {git: https://example.org/x, tag: v1.0.0}", mirrored=False)
    done = world.run("lock", code=4)
    kind = to.partition(":")[0]
    assert done.error.what == (
        "E-UNAVAILABLE plugin 'rx': v1.0.0 cannot be fetched\n"
        f"    https://example.org/x: fatal: transport '{kind}' not allowed"
    )
    assert done.error.fix == "remove url.<x>.insteadOf from your Git configuration"
    assert not payload.exists()


REDIRECTING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG_PARAMETERS",
    "GIT_EXTERNAL_DIFF",
    "GIT_TEMPLATE_DIR",
    "GIT_EXEC_PATH",
    "GIT_COMMON_DIR",
    "GIT_SHALLOW_FILE",
)


def test_variables_that_redirect_git_have_no_effect(world, tmp_path, monkeypatch):
    world.repo("rx")
    for name in REDIRECTING:
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    world.wants("rx@v1.0.0")
    world.run("lock")
    assert not (tmp_path / "elsewhere").exists()


def test_a_source_says_what_was_written():
    assert Source("u", "v1", tag_pattern="v{version}").to_dict() == {
        "git": "u",
        "tag": "v1",
        "tag-pattern": "v{version}",
    }
