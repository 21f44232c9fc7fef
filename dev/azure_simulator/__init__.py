"""A local Azure: Resource Manager, Resource Graph, managed identity, Event Grid topic. Imports no other room of dev."""
