"""Measurements against stated baselines; every comparison is made in one run on one machine."""
