"""GPU readings: from NVIDIA's driver, or from a simulated server."""
