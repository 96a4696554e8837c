"""Computing resources: devices, batches that fit into memory, compiled networks, several processes."""
