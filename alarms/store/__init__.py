"""The SQL of alarms: the alarms themselves, their history, and the deliveries of what they tell."""
