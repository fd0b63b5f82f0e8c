"""HTTP: the native API and one folder an OpenStack dialect."""
