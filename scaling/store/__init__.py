"""The SQL of scaling: groups with their members, policies, and the activities."""
