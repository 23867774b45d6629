"""Questions with contexts and answers in the format of SQuAD 1.1 (Rajpurkar et al. 2016)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quintet.data.text.lines import read
from quintet.errors import UserError


@dataclass(frozen=True)
class Question:
    """One question, or what is wrong with it; `place` says where in the file it stands."""

    place: str
    id: str = ""
    article: str = ""
    question: str = ""
    context: str = ""
    answers: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    problem: str | None = None

    @property
    def values(self) -> tuple[str, str, list[str], list[int], str]:
        """The columns of a prepared set; an article's questions are a group."""
        return self.question, self.context, [*self.answers], [*self.starts], self.article


def questions(where: str, path: Path) -> Iterator[Question]:
    """All questions of a file; a UserError where it is no JSON of SQuAD's outer form."""
    try:
        articles = json.loads(read(where, path).decode("utf-8-sig"))["data"]
        assert isinstance(articles, list)
    except UnicodeDecodeError as e:
        raise UserError(where, f"{path} is not UTF-8", "save it as UTF-8") from e
    except json.JSONDecodeError as e:
        raise UserError(where, f"{path}:{e.lineno}: not JSON ({e.msg})", "mend it") from e
    except (KeyError, TypeError, AssertionError) as e:
        raise UserError(where, f"{path} has no list 'data'", 'it takes SQuAD 1.1: {"data": [{"paragraphs": …}]}') from e
    for i, article in enumerate(articles):
        for j, paragraph in enumerate(_list(article, "paragraphs")):
            for k, asked in enumerate(_list(paragraph, "qas")):
                place = f"{path.name}: data[{i}].paragraphs[{j}].qas[{k}]"
                title = str(article.get("title", f"article {i}"))
                yield _question(place, title, paragraph, asked)
            if not _list(paragraph, "qas"):
                yield Question(f"{path.name}: data[{i}].paragraphs[{j}]", problem="no list 'qas' of questions")
        if not _list(article, "paragraphs"):
            yield Question(f"{path.name}: data[{i}]", problem="no list 'paragraphs'")


def _list(holder: Any, key: str) -> list[Any]:
    found = holder.get(key) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []


def _question(place: str, article: str, paragraph: dict[str, Any], asked: Any) -> Question:
    if not isinstance(asked, dict) or not isinstance(asked.get("id"), str):
        return Question(place, problem="no text 'id'")
    answers = [answer for answer in _list(asked, "answers") if isinstance(answer, dict)]
    texts = tuple(answer.get("text", "") for answer in answers)
    starts = tuple(answer.get("answer_start", -1) for answer in answers)
    made = Question(place, asked["id"], article, asked.get("question", ""), paragraph.get("context", ""), texts, starts)
    problem = wrong_question(made)
    return Question(place, asked["id"], problem=f"{problem} (question {asked['id']})") if problem else made


def wrong_question(asked: Question) -> str | None:
    """Why a question cannot be used, or None."""
    if any(not _valid(text) for text in (asked.id, asked.article, asked.question, asked.context, *asked.answers)):
        return "half of a surrogate pair, which is no text"
    for name, text in (("question", asked.question), ("context", asked.context)):
        if not isinstance(text, str) or not text.strip():
            return f"no {name}"
    if not asked.answers:
        return "no answer; unanswerable questions are not learnt here"
    for text, start in zip(asked.answers, asked.starts, strict=True):
        if not isinstance(text, str) or not text.strip():
            return "an empty answer"
        if not isinstance(start, int) or start < 0 or asked.context[start : start + len(text)] != text:
            there = asked.context.find(text)
            hint = f"it stands at {there}" if there >= 0 else "the context does not have it"
            return f"the answer '{text[:40]}' is not at its offset {start}: {hint}"
    return None


def _valid(text: Any) -> bool:
    r"""JSON can say \ud800, which no file in UTF-8 can."""
    return not isinstance(text, str) or not any("\ud800" <= letter <= "\udfff" for letter in text)
