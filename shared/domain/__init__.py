"""A remediation and how it moves on, without any I/O. May import `clock` alone."""
