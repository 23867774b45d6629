"""Types for constructor settings that carry their bounds; `quintet check` enforces them."""

from typing import Annotated

from annotated_types import Gt, Interval

PositiveInt = Annotated[int, Gt(0)]
PositiveFloat = Annotated[float, Gt(0)]
Probability = Annotated[float, Interval(ge=0, lt=1)]
