"""Quintet: five families of deep learning side by side on your data."""
