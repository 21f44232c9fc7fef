"""The app in the library that Azure's own Python worker runs."""
