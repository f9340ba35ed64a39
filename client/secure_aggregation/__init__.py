"""The device's part in a secure sum, and what it refuses."""
