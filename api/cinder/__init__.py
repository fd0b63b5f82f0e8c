"""The Cinder v3 dialect."""
