"""Measures the figures of merit and prints each beside its goal."""
