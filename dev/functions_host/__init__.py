"""A local Azure Functions host, which runs the app where Core Tools are not installed. Imports no other room of dev."""
