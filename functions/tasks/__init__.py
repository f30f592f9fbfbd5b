"""The domain: pure models and rules. No Dapr, no SQL, no clock: time comes in as an argument."""
