"""The Keystone v3 dialect."""
