"""Hypervisor drivers behind one contract."""
