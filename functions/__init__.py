"""Tickler's functions: one module per capability, named as its app-id with underscores."""
