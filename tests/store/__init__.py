"""The store, on a real PostgreSQL of its own."""
