"""One file per gRPC service, or per part of a large one."""
