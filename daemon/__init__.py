"""The daemon: gRPC services, model repository, engine supervision, metrics."""
