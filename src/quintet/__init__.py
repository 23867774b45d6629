"""Quintet: five families of deep learning side by side on your data."""

__version__ = "0.1.0"
