"""The Nova v2.1 dialect."""
