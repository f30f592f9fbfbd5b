"""What every function stands on. This package alone knows Dapr and gRPC."""
