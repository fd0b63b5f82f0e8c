"""The SQL of the collectors: which notifications were heard, and those that could not be taken."""
