"""The SQL of identity: tokens apart from the directory of projects, users and roles."""
