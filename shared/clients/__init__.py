"""Network calls to Azure. May import domain, rate_limits, logs, clock, version; not settings, sources or storage."""
