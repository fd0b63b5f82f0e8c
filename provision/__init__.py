"""What makes a bare Debian 12 machine ready: packages, Python, TimescaleDB, Redis, libvirt, the guest image."""
