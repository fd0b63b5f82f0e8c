"""The Aodh v2 dialect."""
