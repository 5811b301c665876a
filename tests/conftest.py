"""In which order files are handed out to the workers, and how examples are drawn."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A machine may stand still for seconds: no example is judged by how long it took. Which examples
# are tried hangs on the test alone, so that a failure is met again by whoever runs it again.
settings.register_profile(
    "orchestrator",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("orchestrator")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hand out files with slow tests first: whoever gets one last works while the others wait."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
