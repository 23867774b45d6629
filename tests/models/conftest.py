"""Every tensor that enters or leaves a model here is checked against the shape its signature states."""

from jaxtyping import install_import_hook

# Only what is imported after this is checked; test_shapes_in_signatures_are_checked fails where that came too late.
install_import_hook("quintet.models", "beartype.beartype")
