"""Settings come from TWIN_* variables and never show a secret."""

import subprocess

import pytest

from twin.domain.errors import BadConfigurationError
from twin.settings import (
    LaptopSettings,
    Settings,
    checkout_version,
    get_laptop_settings,
    get_settings,
)


@pytest.fixture(autouse=True)
def fresh() -> None:
    get_settings.cache_clear()
    get_laptop_settings.cache_clear()


def test_defaults_lie_under_home() -> None:
    settings = Settings()
    assert settings.files_root == str(settings.home.resolve() / "files")
    assert settings.models_root.is_absolute()
    assert settings.index_root.is_absolute()


def test_a_bucket_is_kept_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_FILES_URI", "s3://bucket/prefix/")
    assert get_settings().files_root == "s3://bucket/prefix"


def test_keys_are_split_and_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_API_KEYS", "alpha, beta,,")
    settings = get_settings()
    assert [key.get_secret_value() for key in settings.api_keys] == ["alpha", "beta"]
    assert "alpha" not in repr(settings)


def test_the_warehouse_password_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_MONGO_URI", "mongodb://ada:hunter2@db/")
    assert "hunter2" not in repr(get_settings())


def test_a_wrong_port_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_LAPTOP_AIRFLOW_PORT", "eighty")
    with pytest.raises(BadConfigurationError, match="TWIN_LAPTOP_AIRFLOW_PORT: Input should be"):
        get_laptop_settings()


def test_no_two_default_ports_are_the_same() -> None:
    laptop = LaptopSettings()
    ports = [value for name, value in laptop.model_dump().items() if name.endswith("_port")]
    assert len(set(ports)) == len(ports) >= 7


class TestCodeVersion:
    @pytest.fixture(autouse=True)
    def uncached(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TWIN_CODE_VERSION", raising=False)
        checkout_version.cache_clear()
        yield
        checkout_version.cache_clear()

    def test_in_a_clone_it_is_the_commit(self) -> None:
        head = subprocess.run(
            ["git", "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        assert head in Settings().code_version

    def test_the_environment_decides_before_git(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TWIN_CODE_VERSION", "sha256:abc")
        assert Settings().code_version == "sha256:abc"

    def test_without_git_it_is_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        assert Settings().code_version == "unknown"
