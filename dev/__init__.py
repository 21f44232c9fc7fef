"""What runs on a developer's machine only; never deployed, and independent of the app's own packages."""
