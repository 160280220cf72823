"""One way to talk to every engine, and the life of those that lctx starts itself."""
