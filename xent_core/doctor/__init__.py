"""What is wrong with logits, labels and options: findings with their evidence, fixes, and the pitfalls behind them."""
