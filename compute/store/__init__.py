"""All of compute's SQL, one file a noun; nobody outside compute imports it."""
