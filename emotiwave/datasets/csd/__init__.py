"""CMU computational sequences (``.csd``): HDF5 files of one feature over whole videos, and corpora made of them."""
