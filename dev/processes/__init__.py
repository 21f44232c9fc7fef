"""Child processes, signals and the error that commands end with. Stdlib only; imports no other room of dev."""
