"""Formal proofs of what simulation cannot exhaust; see docs/proofs.md."""
