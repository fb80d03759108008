"""From media files to frames of features: decode, judge what is of use, extract, keep."""
