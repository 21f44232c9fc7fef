"""How many calls to Azure, and when: rate limits and the sweep's quota; pure. May import nothing of the app."""
