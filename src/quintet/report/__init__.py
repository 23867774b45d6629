"""Finished run folders in, a comparison out: a page, Markdown, JSON and tables for plots.

The report reads the files that runs left and nothing else (no store, no model, no torch), so the same
files give the same bytes.

* `collect`: files to plain objects, refusing what is missing or corrupt
* `compare`: leaderboards, paired tests, what each family buys
* `disagreement`: the test examples that only one family got right
* `words`: how figures and findings are put
* `page`, `markdown`, `result`, `plots`: one writer for each kind of file
"""

from __future__ import annotations

from quintet.report.build import build
from quintet.report.markdown import leaderboard_text

__all__ = ["build", "leaderboard_text"]
