"""Texts as numbers for linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

# Single characters count as words too, so that "I" and "!" are seen.
_WORD = r"(?u)\w+|[^\w\s]"
_DIMENSIONS = 100
_WINDOW = 5


def tf_idf() -> TfidfVectorizer:
    """Words and pairs of words, weighted by their rarity (Spärck Jones 1972), counts damped."""
    return TfidfVectorizer(token_pattern=_WORD, ngram_range=(1, 2), sublinear_tf=True)


class WordVectors:
    """The mean of a text's word vectors, which are learnt from the training texts alone.

    Vectors are the leading singular directions of the words' positive pointwise mutual information within windows of
    five words (Levy, Goldberg, Dagan 2015, Improving Distributional Similarity, sec. 2.1 and 2.2).
    """

    def fit(self, texts: list[str], targets: Any = None) -> WordVectors:
        """Count which words stand near each other, and factor the table."""
        self.counter = CountVectorizer(token_pattern=_WORD).fit(texts)
        cut, number = self.counter.build_analyzer(), self.counter.vocabulary_
        pairs: list[tuple[int, int]] = []
        for text in texts:
            words = [number[word] for word in cut(text)]
            for gap in range(1, _WINDOW + 1):
                pairs += zip(words, words[gap:], strict=False)
        rows, columns = np.array(pairs or [(0, 0)]).T
        size = len(number)
        near = csr_matrix((np.ones(len(rows)), (rows, columns)), (size, size))
        near = (near + near.T).tocoo()
        total = near.sum()
        of_word = np.asarray(near.sum(axis=1)).ravel()
        information = np.log(near.data * total / (of_word[near.row] * of_word[near.col]))
        table = csr_matrix((np.maximum(information, 0), (near.row, near.col)), (size, size))
        reduce = TruncatedSVD(min(_DIMENSIONS, size - 1), random_state=0)
        found = reduce.fit_transform(table)
        self.vectors: NDArray[np.float64] = found / np.sqrt(np.maximum(reduce.singular_values_, 1e-9))
        return self

    def transform(self, texts: list[str]) -> NDArray[np.float64]:
        """[text dimension]; a text of unknown words only is zero."""
        counts = self.counter.transform(texts)
        return np.asarray(counts @ self.vectors / np.maximum(counts.sum(axis=1), 1))

    def fit_transform(self, texts: list[str], targets: Any = None) -> NDArray[np.float64]:
        """As scikit-learn's pipelines ask."""
        return self.fit(texts).transform(texts)
