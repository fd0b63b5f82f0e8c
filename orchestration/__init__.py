"""What joins the packages below: use cases that no one of them can decide alone."""
