"""Scaling groups and policies, and the decisions taken for them."""
