"""Work for many machines."""
