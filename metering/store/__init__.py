"""All SQL of metering, one file a noun."""
