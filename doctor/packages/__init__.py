"""Distributions: recipes, where packages come from, and the one way to uv."""
