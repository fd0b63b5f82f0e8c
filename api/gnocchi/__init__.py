"""The Gnocchi v1 dialect."""
