"""These tests start without any setting, also where the environment has some."""

import pytest

from deploy.local.settings import StackSettings


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in StackSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
