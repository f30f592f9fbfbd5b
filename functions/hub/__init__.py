"""sync-hub: holds the open devices' sockets, and tells each what changes in its user's list (docs/architecture.md,
Live). It knows neither Dapr nor PostgreSQL, but by way of runtime/ and store/."""
