"""What PyTorch takes in silence although it is hardly meant, and what is worth knowing: one module for each cause."""
