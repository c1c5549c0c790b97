"""Small super-resolution networks, trained here: something to look at with HyRA."""
