"""Where readings come from: polling, lifecycle notices and the spool on disk."""
