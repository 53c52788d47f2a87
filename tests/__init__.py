"""Checks of the product, from single functions to whole runs."""
