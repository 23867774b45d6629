"""The same small DVC repositories as the flow's tests have."""

from tests.pipelines.conftest import edit, repository, template

__all__ = ["edit", "repository", "template"]
