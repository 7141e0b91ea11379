"""Where settings come from, who wins, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from molt_magic.config import Settings, load_settings
from molt_magic.config.schema import KEYS
from molt_magic.errors import ConfigError, UnknownName

KEY = "sk-proj-abcdefghijklmnop1234"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"MOLT_HOME": str(tmp_path / "home")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "notebooks"
    path.mkdir(parents=True)
    return path


def load(folder: Path, env: dict[str, str], text: str | None = None, **kwargs: object) -> Settings:
    if text is not None:
        (folder / "molt.toml").write_text(text, encoding="utf-8")
    return load_settings(environ=env, cwd=folder, **kwargs)  # type: ignore[arg-type]


def test_without_files_the_defaults_apply(folder: Path, env: dict[str, str]) -> None:
    settings = load(folder, env)
    assert (settings.defaults.strategy, settings.defaults.quality) == ("arbitrage", 0.85)
    assert (settings.cache.ttl_seconds, settings.cache.semantic_distance) == (600, 0.05)
    assert settings.cascade.ladder is None
    assert settings.source == ()


def test_each_source_wins_over_the_one_below(folder: Path, env: dict[str, str]) -> None:
    (folder / "pyproject.toml").write_text(
        "[tool.molt.cache]\nttl_seconds = 1\nsemantic = false\nenabled = false\nmax_bytes = 2_000_000\n"
    )
    text = "[cache]\nttl_seconds = 2\nsemantic = true\nenabled = true\n"
    env |= {"MOLT_CACHE_TTL_SECONDS": "3", "MOLT_CACHE_ENABLED": "no"}
    settings = load(folder, env, text, overrides={"cache.ttl_seconds": 4})
    assert settings.cache.ttl_seconds == 4  # override
    assert settings.cache.enabled is False  # environment
    assert settings.cache.semantic is True  # molt.toml
    assert settings.cache.max_bytes == 2_000_000  # pyproject.toml
    assert settings.cache.semantic_distance == 0.05  # default
    assert [path.name for path in settings.source] == ["molt.toml", "pyproject.toml"]


def test_the_origin_of_a_value_is_known(folder: Path, env: dict[str, str]) -> None:
    settings = load(folder, env | {"MOLT_QUALITY": "0.5"}, '[defaults]\nstrategy = "rule"\n')
    assert settings.origins["defaults.quality"] == "the environment (MOLT_QUALITY)"
    assert settings.origins["defaults.strategy"] == str(folder / "molt.toml")
    assert "cache.enabled" not in settings.origins


def test_a_file_in_a_parent_folder_is_found(folder: Path, env: dict[str, str]) -> None:
    (folder.parent / "molt.toml").write_text('[defaults]\nstrategy = "cascade"\n')
    assert load(folder, env).defaults.strategy == "cascade"


def test_the_users_own_file_is_read_where_the_project_has_none(folder: Path, env: dict[str, str]) -> None:
    home = Path(env["MOLT_HOME"])
    home.mkdir()
    (home / "molt.toml").write_text('[defaults]\nstrategy = "direct"\n')
    assert load(folder, env).defaults.strategy == "direct"
    assert load(folder, env, '[defaults]\nstrategy = "rule"\n').defaults.strategy == "rule"


def test_a_named_file_is_the_only_one_read(folder: Path, env: dict[str, str], tmp_path: Path) -> None:
    (folder / "molt.toml").write_text("[cache]\nttl_seconds = 1\n")
    named = tmp_path / "other.toml"
    named.write_text('[defaults]\nstrategy = "rule"\n')
    settings = load_settings(named, environ=env, cwd=folder)
    assert (settings.defaults.strategy, settings.cache.ttl_seconds, settings.source) == ("rule", 600, (named,))


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml does not exist"):
        load_settings(tmp_path / "gone.toml", environ=env)


def test_the_variable_has_the_last_word_on_a_cassette_s_mode(folder: Path, env: dict[str, str]) -> None:
    (folder / "molt.toml").write_text('cassette = "answers.jsonl"\n')
    assert load(folder, env).tape == ("record", Path.cwd() / "answers.jsonl")
    replaying = load(folder, env | {"MOLT_CASSETTE": "Replay"}).with_values({"cassette.mode": "off"})
    assert replaying.tape == ("replay", Path.cwd() / "answers.jsonl")
    assert load(folder, env | {"MOLT_CASSETTE": "off"}).tape is None
    with pytest.raises(ConfigError, match="MOLT_CASSETTE"):
        load(folder, env | {"MOLT_CASSETTE": "play"})


def test_no_cassette_is_used_unless_one_is_named_or_the_variable_wants_one(folder: Path, env: dict[str, str]) -> None:
    assert load(folder, env).tape is None
    assert load(folder, env | {"MOLT_CASSETTE": "replay"}).tape == ("replay", Path.cwd() / "answers.jsonl")


def test_every_setting_has_a_variable(folder: Path, env: dict[str, str]) -> None:
    for key in (each for each in KEYS if each != "cassette.mode"):  # MOLT_CASSETTE: see below
        variable = "MOLT_" + key.removeprefix("defaults.").replace(".", "_").upper()
        with pytest.raises(ConfigError) as caught:
            # no setting takes this one, and the error names the variable
            load(folder, env | {variable: KEY if key != "cascade.ladder" else "a,a"})
        assert variable in str(caught.value)


def test_the_ladder_is_a_list_with_commas_in_the_environment(folder: Path, env: dict[str, str]) -> None:
    assert load(folder, env | {"MOLT_CASCADE_LADDER": "a, b"}).cascade.ladder == ("a", "b")


def test_tasks_may_have_ladders_of_their_own(folder: Path, env: dict[str, str]) -> None:
    settings = load(folder, env, '[cascade.ladders]\nsimple_qa = ["a", "b"]\n')
    assert settings.cascade.ladders == {"simple_qa": ("a", "b")}
    assert settings.with_values({"cascade.ladders": "none"}).cascade.ladders == {}
    assert settings.with_values({"cascade.ladders": "sums: a, b; prose: c"}).cascade.ladders == {
        "sums": ("a", "b"),
        "prose": ("c",),
    }


def test_a_variable_that_is_nearly_ours_is_refused(folder: Path, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="Did you mean MOLT_CACHE_TTL_SECONDS"):
        load(folder, env | {"MOLT_CACHE_TTL_SECOND": "3"})


def test_a_variable_of_another_program_is_left_alone(folder: Path, env: dict[str, str]) -> None:
    assert load(folder, env | {"MOLT_FEATHERS": "3"}) == load(folder, env)


def test_folders_follow_molt_home_and_molt_models(folder: Path, env: dict[str, str], tmp_path: Path) -> None:
    home = Path(env["MOLT_HOME"])
    settings = load(folder, env)
    assert (settings.data_dir, settings.cache_dir, settings.models_dir) == (home / "data", home / "cache", home / "models")
    assert not home.exists()
    assert load(folder, env | {"MOLT_MODELS": str(tmp_path / "w")}).models_dir == tmp_path / "w"


def test_without_molt_home_the_platforms_folders_are_used(folder: Path) -> None:
    settings = load_settings(environ={}, cwd=folder)
    assert {settings.data_dir.name, settings.cache_dir.name} == {"molt-magic"}
    assert settings.models_dir.is_relative_to(settings.cache_dir)


def test_models_and_routes_are_kept_as_tables(folder: Path, env: dict[str, str]) -> None:
    text = '[models.cheap]\nmodel = "x"\n[routes.simple_qa]\nprimary = "cheap"\n[cascade]\nladder = ["cheap"]\n'
    settings = load(folder, env, text)
    assert settings.models["cheap"]["model"] == "x"
    assert settings.routes["simple_qa"]["primary"] == "cheap"
    assert settings.cascade.ladder == ("cheap",)


def test_with_values_changes_a_copy(folder: Path, env: dict[str, str]) -> None:
    before = load(folder, env)
    after = before.with_values({"cache.ttl_seconds": 10, "quality": "0.5", "models.kimi-k1.5": {"model": "m"}})
    assert (after.cache.ttl_seconds, after.defaults.quality, after.models["kimi-k1.5"]["model"]) == (10, 0.5, "m")
    assert (before.cache.ttl_seconds, before.defaults.quality, dict(before.models)) == (600, 0.85, {})


@pytest.mark.parametrize(("text", "value"), [("off", False), ("TRUE", True), ("0", False), ("yes", True)])
def test_words_are_read_as_yes_or_no(folder: Path, env: dict[str, str], text: str, value: bool) -> None:
    assert load(folder, env).with_values({"cache.enabled": text}).cache.enabled is value


def test_an_optional_setting_can_be_taken_back(folder: Path, env: dict[str, str]) -> None:
    settings = load(folder, env).with_values({"budget.session_usd": 2})
    assert settings.budget.session_usd == 2.0
    assert settings.with_values({"budget.session_usd": None}).budget.session_usd is None
    assert settings.with_values({"budget.session_usd": "none"}).budget.session_usd is None


def test_an_unknown_setting_names_the_nearest(folder: Path, env: dict[str, str]) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'cache\.ttl_seconds'"):
        load(folder, env).with_values({"cache.ttl_secs": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cache]\nttl = 1\n", r"Unknown setting 'ttl' in \[cache\] of .*molt\.toml\. .*ttl_seconds"),
        ("[cashe]\nttl_seconds = 1\n", r"Unknown section \[cashe\] .*'cache'"),
        ('strategy = "rule"\n', r"strategy .* stands outside its section\. Put it under \[defaults\]"),
        ('model = "x"\n', r"Put it under \[defaults\]: model"),
        ("cache = 1\n", "must be a section"),
        ("[models]\ncheap = 1\n", r"models\.cheap .* must be a table"),
        ('[cache]\nttl_seconds = "600"\n', "must be a number, not '600'"),
        ("[cache]\nenabled = 1\n", "must be true or false"),
        ("[cache]\nttl_seconds = -1\n", "must be at least 0"),
        ("[cache]\nttl_seconds = inf\n", "must be a number"),
        ("[defaults]\nquality = 85\n", "must be between 0 and 1"),
        ('[defaults]\nstrategy = ""\n', "is empty"),
        ('[context]\nmode = "sumary"\n', "may be: summary, window, memory, off"),
        ("[context]\nkeep_turns = 2.5\n", "whole number"),
        ("[local]\nthreads = true\n", "whole number"),
        ('[cascade]\nladder = "a"\n', "must be a list"),
        ('[cascade]\nladder = ["a", "a"]\n', "names a model twice"),
        ('[cascade]\nladders = ["a"]\n', "must be a table of ladders"),
        ('[cascade.ladders]\nsimple_qa = "a"\n', "cascade.ladders.simple_qa in .* must be a list"),
        ('[cascade]\nrungs = ["a"]\n', "Unknown setting 'rungs'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_fix(folder: Path, env: dict[str, str], text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(folder, env, text)
    assert "molt.toml" in str(caught.value)


def test_broken_toml_names_the_file_and_the_line(folder: Path, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"molt\.toml is not valid TOML: .*line 2") as caught:
        load(folder, env, "[defaults]\nstrategy = rule\n")
    assert caught.value.fix


def test_a_file_that_is_not_utf8_is_refused(folder: Path, env: dict[str, str]) -> None:
    (folder / "molt.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(folder, env)


def test_a_byte_order_mark_is_no_error(folder: Path, env: dict[str, str]) -> None:
    (folder / "molt.toml").write_bytes(b'\xef\xbb\xbf[defaults]\nstrategy = "rule"\n')
    assert load(folder, env).defaults.strategy == "rule"


def test_a_folder_in_the_place_of_a_named_file_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path, environ=env)


def test_what_is_wrong_with_another_projects_pyproject_does_not_matter(folder: Path, env: dict[str, str]) -> None:
    (folder / "pyproject.toml").write_text("[project\nname = broken")
    assert load(folder, env).source == ()


@pytest.mark.parametrize(
    "text",
    [
        f'[models.a]\napi_key = "{KEY}"\n',
        '[models.a]\napi_key = "short"\n',
        f'[models.a]\napi_key_env = "{KEY}"\n',
        '[models.a]\napi_key_env = "AIzaSyA1234567890abcdefghijklmnop"\n',
        '[models.a]\napi_key_env = "a3f5c1d2e4b6a7988f0e1d2c3b4a5968"\n',
        '[models.a]\napi_key_env = "two words"\n',
        f'[[models.a.deployments]]\napi_key_env = "{KEY}"\n',
        f'[models.a]\nbase_url = "https://example.org/v1?key={KEY}"\n',
        f'[embed]\napi_key_env = "{KEY}"\n',
        f'[defaults]\nmodel = "{KEY}"\n',
    ],
)
def test_a_key_in_a_file_is_refused_and_not_repeated(folder: Path, env: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match="Keys do not belong in a file") as caught:
        load(folder, env, text)
    held = text.split('"')[1]
    assert held not in str(caught.value)
    assert "api_key_env" in caught.value.fix


def test_a_key_among_given_values_is_refused(folder: Path, env: dict[str, str]) -> None:
    settings = load(folder, env)
    for values in ({"embed.api_key_env": KEY}, {"defaults.model": KEY}, {"models.a": {"api_key": "x"}}):
        with pytest.raises(ConfigError) as caught:
            settings.with_values(values)
        assert KEY not in str(caught.value)


def test_ordinary_names_are_not_taken_for_keys(folder: Path, env: dict[str, str]) -> None:
    text = (
        '[models.task-classification-of-long-names]\nmodel = "risk-assessment-model-2026"\napi_key_env = "OPENAI_API_KEY_2"\n'
    )
    assert load(folder, env, text).models


def test_a_secret_comes_from_the_environment_before_dotenv(folder: Path, env: dict[str, str]) -> None:
    (folder / ".env").write_text("A=file\nB=file\nC=\n")
    settings = load(folder, env | {"A": "environment", "B": ""})
    assert [settings.secret(name) for name in "ABCD"] == ["environment", "file", None, None]


def test_a_secret_is_not_exported_shown_or_pickled(folder: Path, env: dict[str, str]) -> None:
    (folder / ".env").write_text(f"MY_KEY={KEY}\n")
    settings = load(folder, env)
    assert settings.secret("MY_KEY") == KEY
    assert "MY_KEY" not in os.environ
    assert KEY not in repr(settings) + repr(settings.secrets) + repr(settings.flat())
    with pytest.raises(TypeError, match="not copied or pickled"):
        pickle.dumps(settings.secrets)


def test_a_dotenv_is_looked_for_up_to_the_folder_of_the_file_and_no_further(folder: Path, env: dict[str, str]) -> None:
    project, above = folder.parent, folder.parent.parent
    (project / "molt.toml").write_text("")
    (project / ".env").write_text("A=project\n")
    (above / ".env").write_text("B=above\n")
    settings = load(folder, env)
    assert (settings.secret("A"), settings.secret("B")) == ("project", None)


def test_a_changed_dotenv_is_read_again(folder: Path, env: dict[str, str]) -> None:
    settings = load(folder, env)
    assert settings.secret("A") is None
    (folder / ".env").write_text("A=one\n")
    assert settings.secret("A") == "one"
    (folder / ".env").write_text("A=three\n")
    assert settings.secret("A") == "three"


def test_a_key_set_later_in_the_environment_counts(folder: Path, env: dict[str, str]) -> None:
    settings = load(folder, env).with_values({"quality": 0.5})
    env["LATE"] = "x"
    assert settings.secret("LATE") == "x"
