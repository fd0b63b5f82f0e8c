"""What we measure; benchmarks print figures and never decide a test."""
