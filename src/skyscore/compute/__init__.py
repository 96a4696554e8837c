"""What the machine does: devices, batches that fit into memory, compiled networks, several processes."""
