"""What every package stands on: time, ids, money, errors, settings, the database and the outbox."""
