"""Who calls and what they may: projects, users, roles, tokens."""
