"""Decoding media files, one segment at a time in constant memory, and telling what of them is of use."""
