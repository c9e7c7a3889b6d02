//! What the backend does for each command; one file a command or family.
