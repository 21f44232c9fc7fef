"""The local Functions host, seen from outside: tiny apps, a real host process, a real Azurite."""
