"""The HTML page at `GET /api/dashboard`; may import api, healing, storage, clients, sources, domain and the root."""
