"""The validity battery: pictures of the embedded world changed in known, graded ways, and what a metric made of them."""
