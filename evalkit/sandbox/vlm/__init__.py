"""The small Qwen2.5-VL that answers questions about concepts of the embedded world."""
