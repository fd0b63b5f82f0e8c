"""The series store: resources, metrics, raw samples, rollups, usage."""
