"""Texts: kept as words in prepared data, turned into tokens when a split is loaded.

A fine-tuned network reads with the vocabulary it was pre-trained with, so the tokens of a prepared
set are not fixed: `load_texts` reads a split, `encode` cuts it with any tokenizer.
"""
