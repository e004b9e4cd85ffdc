"""The page Precision: the same loss in float64, float32, bfloat16 and float16."""
