"""Options shared by every test: device, slow tests, one Hypothesis profile."""

import matplotlib
import pytest
from hypothesis import HealthCheck, settings

matplotlib.use("Agg")
settings.register_profile(
    "fisherkit", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fisherkit")


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="torch device of the neural tests, e.g. cuda")
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture
def device(request):
    return request.config.getoption("--device")
