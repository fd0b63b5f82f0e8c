"""START HERE: one file a process, and the wiring that joins the packages."""
