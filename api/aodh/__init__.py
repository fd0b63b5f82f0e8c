"""The Aodh v2 dialect at /alarming."""
