"""Events and alerts become a Signal, or the reason why not; pure. May import domain and clock."""
