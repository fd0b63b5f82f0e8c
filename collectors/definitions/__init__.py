"""What is metered of which notification: YAML files of ours, one a service, and those that an operator adds."""
