"""Settings: toml and environment, which of the two wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ninetyfive.errors import DeclarationError, SettingsError
from ninetyfive.settings import (
    BeamEngineSettings,
    KeepSettings,
    LocalEngineSettings,
    Settings,
    SparkEngineSettings,
    load_settings,
)


def load(folder: Path, text: str = "", **environment: str) -> Settings:
    (folder / "ninetyfive.toml").write_text(text, encoding="utf-8")
    return load_settings(folder, environment)


def test_without_a_file_everything_is_embedded(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {})
    assert settings == Settings(tmp_path)
    assert settings.store_url == str(tmp_path / ".ninetyfive")
    assert (settings.engine, settings.local.threads, settings.local.memory) == ("local", None, 512 * 2**20)


def test_the_file_is_read(tmp_path: Path) -> None:
    text = """
store = "memory://bucket/here"
catalog = "sqlite:////data/catalog.sqlite"
engine = "local"

[engines.local]
threads = 2
memory = "2 GiB"
"""
    settings = load(tmp_path, text)
    assert (settings.store_url, settings.catalog) == ("memory://bucket/here", "sqlite:////data/catalog.sqlite")
    assert settings.local == LocalEngineSettings(2, 2 * 2**30)


def test_engines_have_settings_of_their_own(tmp_path: Path) -> None:
    text = """
engine = "spark"

[engines.local]
partition_memory = "1GiB"

[engines.spark]
master = "spark://host:7077"
partition_memory = "3GiB"

[engines.spark.options]
spark.executor.memory = "4g"
"spark.executor.cores" = 2

[engines.beam]
temporary = "gs://bucket/tmp"
options = { runner = "FlinkRunner", flink_master = "${MASTER}", no_auth = true }
"""
    settings = load(tmp_path, text, MASTER="host:8081", NINETYFIVE_ENGINES_SPARK_REMOTE="sc://host")
    assert settings.engine == "spark"
    assert settings.local.partition_memory == 2**30
    options = {"spark.executor.memory": "4g", "spark.executor.cores": 2}
    assert settings.spark == SparkEngineSettings("spark://host:7077", "sc://host", options, 3 * 2**30)
    options = {"runner": "FlinkRunner", "flink_master": "host:8081", "no_auth": True}
    assert settings.beam == BeamEngineSettings("gs://bucket/tmp", options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('engine = "sparc"', "did you mean 'spark'"),
        ("[engines.flink]", r"\[engines\] 'flink': expected a known setting"),
        ("[engines.spark]\nmaser = 'x'", "did you mean 'master'"),
        ("[engines.spark]\nmaster = 7", r"\[engines.spark\] 'master': expected text, got 7"),
        ("[engines.beam]\noptions = ['--runner=x']", r"\[engines.beam\] 'options': expected a table"),
        ("[engines.beam]\npartition_memory = 7", r"'partition_memory': expected a size"),
        ("[engines.spark.options]\nfs.s3a.secret.key = 'abc'", "expected no secret in the file"),
    ],
)
def test_what_is_wrong_with_an_engine_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load(tmp_path, text)


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    text = 'store = "here"\n[engines.local]\nthreads = 2\nmemory = "1KiB"\n'
    settings = load(
        tmp_path,
        text,
        NINETYFIVE_STORE="/there",
        NINETYFIVE_CATALOG="sqlite:///c.sqlite",
        NINETYFIVE_ENGINE="local",
        NINETYFIVE_ENGINES_LOCAL_THREADS="7",
        NINETYFIVE_ENGINES_LOCAL_MEMORY="3MiB",
    )
    assert (settings.store_url, settings.catalog) == ("/there", "sqlite:///c.sqlite")
    assert settings.local == LocalEngineSettings(7, 3 * 2**20)
    assert load(tmp_path, text, NINETYFIVE_STORE="").store == "here"


def test_the_environment_of_the_process_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINETYFIVE_STORE", "/from/process")
    assert load_settings(tmp_path).store_url == "/from/process"


def test_text_may_name_the_environment(tmp_path: Path) -> None:
    text = 'store = "gs://${USER_NAME}:${PASSWORD}@bucket/${FOLDER}"'
    settings = load(tmp_path, text, USER_NAME="ada", PASSWORD="p", FOLDER="f")
    assert settings.store == "gs://ada:p@bucket/f"
    with pytest.raises(SettingsError, match=r"'store': expected FOLDER in the environment, got nothing") as caught:
        load(tmp_path, text, USER_NAME="ada", PASSWORD="p")
    assert caught.value.do == "export FOLDER=..."


def test_what_the_environment_says_of_a_login_is_percent_encoded_and_nothing_else(tmp_path: Path) -> None:
    text = 'catalog = "postgresql://${WHO}:${PASSWORD}@${HOST}/${NAME}"'
    words = {"WHO": "a:b", "PASSWORD": "p@ss/w?r#d%40 :", "HOST": "h:5432", "NAME": "d/e"}
    assert load(tmp_path, text, **words).catalog == "postgresql://a%3Ab:p%40ss%2Fw%3Fr%23d%2540%20%3A@h:5432/d/e"
    whole = load(tmp_path, 'catalog = "postgresql://${LOGIN}@host/db"', LOGIN="ada:p@ss").catalog
    assert whole == "postgresql://ada:p%40ss@host/db"
    url = "postgresql://ada:p%40ss@host/db?options=-csearch_path%3Dflights"
    assert load(tmp_path, 'catalog = "${URL}"', URL=url).catalog == url


@pytest.mark.parametrize(
    "text",
    [
        'password = "letmein"',
        "token = 12345",
        '[engines.local]\napi_key = "abc"',
        'secrets = ["a"]',
        'store = "s3://ada:letmein@bucket/x"',
        'store = "s3://ada:letmein${TAIL}@bucket/x"',
        'store = "s3://ada:${HEAD}letmein@bucket/x"',
        'catalog = "postgresql://host/db?user=ada&password=letmein"',
        'store = ["s3://ada:letmein@bucket/x"]',
    ],
)
def test_a_secret_that_is_written_out_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="expected no secret in the file") as caught:
        load(tmp_path, text)
    assert caught.value.exit_code == 2
    assert "letmein" not in str(caught.value)
    assert "${NAME}" in caught.value.do


@pytest.mark.parametrize(
    ("text", "where", "do"),
    [
        ('stroe = "x"', "ninetyfive.toml, 'stroe'", "did you mean 'store'?"),
        ("[engines.lokal]\nthreads = 1", "ninetyfive.toml, [engines] 'lokal'", "did you mean 'local'?"),
        ("[engines.local]\nthread = 1", "ninetyfive.toml, [engines.local] 'thread'", "did you mean 'threads'?"),
        ('engine = "locl"', "ninetyfive.toml, 'engine'", "did you mean 'local'?"),
        ('engines = "local"', "ninetyfive.toml, 'engines'", "write [engines.local]"),
        ("[engines]\nlocal = 2", "ninetyfive.toml, 'engines.local'", "write [engines.local]"),
        ("store = 5", "ninetyfive.toml, 'store'", 'write it like store = "data/store"'),
        ('store = ""', "ninetyfive.toml, 'store'", 'write it like store = "data/store"'),
    ],
)
def test_words_that_are_not_known_are_named(tmp_path: Path, text: str, where: str, do: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert (caught.value.where, caught.value.do) == (where, do)


@pytest.mark.parametrize("threads", ["0", "-1", "true", '"two"', "1.5"])
def test_threads_are_a_whole_number_from_1(tmp_path: Path, threads: str) -> None:
    with pytest.raises(SettingsError, match=r"\[engines.local\] 'threads': expected a whole number from 1"):
        load(tmp_path, f"[engines.local]\nthreads = {threads}")


@pytest.mark.parametrize("memory", ["512", '"512"', '"512MB"', '"0MiB"', '"-1MiB"', '"lots"'])
def test_memory_is_a_size(tmp_path: Path, memory: str) -> None:
    with pytest.raises(SettingsError, match=r"\[engines.local\] 'memory': expected a size such as '512MiB'"):
        load(tmp_path, f"[engines.local]\nmemory = {memory}")


def test_an_error_names_the_variable_that_is_wrong(tmp_path: Path) -> None:
    for name, value in (
        ("NINETYFIVE_ENGINES_LOCAL_THREADS", "many"),
        ("NINETYFIVE_ENGINES_LOCAL_MEMORY", "1GB"),
        ("NINETYFIVE_ENGINE", "spak"),
        ("NINETYFIVE_STORE", "${NOWHERE}"),
    ):
        with pytest.raises(SettingsError) as caught:
            load(tmp_path, 'engine = "local"', **{name: value})
        assert caught.value.where == name


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"expected TOML, got .*line 2"):
        load(tmp_path, 'store = "x"\nthreads 2')
    (tmp_path / "ninetyfive.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="expected TOML"):
        load_settings(tmp_path, {})
    (tmp_path / "ninetyfive.toml").unlink()
    (tmp_path / "ninetyfive.toml").mkdir()
    with pytest.raises(SettingsError, match="expected a file that can be read"):
        load_settings(tmp_path, {})


def test_what_to_keep(tmp_path: Path) -> None:
    assert load(tmp_path).keep == KeepSettings(releases=10, age=30 * 86_400, rollbacks=10, runs=3)
    text = '[keep]\nreleases = 0\nage = "6h"\nrollbacks = 1\n'
    assert load(tmp_path, text, NINETYFIVE_KEEP_RUNS="7").keep == KeepSettings(0, 6 * 3_600, 1, 7)


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("releases = -1", "'releases'", "a whole number from 0"),
        ("rollbacks = 0", "'rollbacks'", "a whole number from 1"),
        ("runs = true", "'runs'", "a whole number from 1"),
        ("age = 30", "'age'", "and a unit"),
        ('age = "0d"', "'age'", "from 1"),
        ("days = 3", "'days'", "a known setting"),
    ],
)
def test_what_cannot_be_kept(tmp_path: Path, text: str, where: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"[keep]\n{text}\n")
    assert caught.value.where == f"ninetyfive.toml, [keep] {where}"
    assert expected in caught.value.expected


def test_prices_and_bounds_of_a_design_are_read_with_the_environment_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "ninetyfive.toml").write_text('[prices]\npoint_day = 12\n[design]\nstaleness = "6h"\nmisses = 0.02\n')
    said = load_settings(tmp_path, {"NINETYFIVE_DESIGN_MISSES": "0.5", "NINETYFIVE_PRICES_CPU_HOUR": "0.05"})
    assert (said.prices.point_day, said.prices.cpu_hour, said.prices.currency) == (12.0, 0.05, "USD")
    assert (said.design.staleness, said.design.misses) == ("6h", 0.5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[prices]\ncpu_hour = -1", "'cpu_hour'"),
        ("[prices]\npoint_day = nan", "'point_day'"),
        ("[prices]\npoint_day = inf", "finite"),
        ("[design]\nmisses = 1.5", "'misses'"),
        ('[design]\nstaleness = "soon"', "'staleness'"),
        ('[design]\nlatency = "fast"', "'latency'"),
        ("[prices]\ncpu = 1", "'cpu'"),
    ],
)
def test_a_price_or_a_bound_that_cannot_be_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "ninetyfive.toml").write_text(text)
    with pytest.raises((SettingsError, DeclarationError), match=named.strip("'")):
        load_settings(tmp_path, {})


def test_managed_services_have_tables_below_and_bounds(tmp_path: Path) -> None:
    (tmp_path / "ninetyfive.toml").write_text(
        '[managed]\nproject = "${PROJECT}"\nhours = 2\n'
        '[managed.dataproc]\nexecutors = 5\nproperties = { "spark.speculation" = true }\n',
        encoding="utf-8",
    )
    said = load_settings(
        tmp_path, {"PROJECT": "p", "NINETYFIVE_MANAGED_POLL": "0.5", "NINETYFIVE_MANAGED_DATAPROC_CLUSTER": "c"}
    ).managed
    assert (said.project, said.hours, said.poll, said.region) == ("p", 2.0, 0.5, "")
    assert (said.dataproc.cluster, said.dataproc.executors) == ("c", 5)
    assert said.dataproc.properties == {"spark.speculation": True}
    for name, value in {"HOURS": "0", "POLL": "x", "DATAPROC_EXECUTORS": "0", "DATAPROC_MEMORY_GIB": "8"}.items():
        with pytest.raises(SettingsError, match=f"NINETYFIVE_MANAGED_{name}"):
            load_settings(tmp_path, {"PROJECT": "p", f"NINETYFIVE_MANAGED_{name}": value})
    (tmp_path / "ninetyfive.toml").write_text('[managed.dataprok]\ncluster = "c"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="did you mean 'dataproc'"):
        load_settings(tmp_path, {})
