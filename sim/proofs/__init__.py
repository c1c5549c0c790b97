"""Formal proofs of what simulation cannot exhaust. docs/proofs.md says what, and why it suffices."""
