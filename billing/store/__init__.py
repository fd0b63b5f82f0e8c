"""All SQL of billing, by noun; private to billing."""
