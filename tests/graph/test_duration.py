import pytest

from quintet.errors import UserError
from quintet.graph.duration import parse_duration, say_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(90, 90), ("90", None), ("90s", 90), ("45min", 2700), ("1h 30min", 5400), ("1.5 h", 5400), ("2d", 172800)],
)
def test_reads_spans_as_people_write_them(text: object, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(UserError, match="is no span of time"):
            parse_duration("--budget", text)
    else:
        assert parse_duration("--budget", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 parsecs", "2h of work", 0, "0s", -3, True])
def test_refuses_what_is_no_span(text: object) -> None:
    with pytest.raises(UserError, match="--budget"):
        parse_duration("--budget", text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.4 s"), (38.2, "38 s"), (59.6, "1 min 00 s"), (725, "12 min 05 s"), (12000, "3 h 20 min")],
)
def test_says_spans_in_the_units_that_matter(seconds: float, said: str) -> None:
    assert say_duration(seconds) == said
