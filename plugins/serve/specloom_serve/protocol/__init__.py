"""The messages and the service of gRPC: ``service.proto``, and what protoc makes of it."""
