"""The server's part in a secure sum: passing on, counting who is there, and unmasking the sum."""
