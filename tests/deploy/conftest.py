"""What the servers' tests share with others: a scratch clone, a small DVC repository."""

from __future__ import annotations

from tests.end_to_end.conftest import project
from tests.pipelines.conftest import repository, template

__all__ = ["project", "repository", "template"]
