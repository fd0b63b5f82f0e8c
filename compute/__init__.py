"""The compute core: flavors, images, networks and instances, and the drivers that run them."""
