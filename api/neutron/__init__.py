"""The Neutron v2.0 dialect."""
