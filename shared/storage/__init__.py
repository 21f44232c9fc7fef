"""Tables and queues of the app's storage account. May import `clients`, `settings`, `domain` and what is below them."""
