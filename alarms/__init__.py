"""Alarms, their evaluation, and the delivery of what they say."""
