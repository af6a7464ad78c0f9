"""What is known of the work, in words that survive saving; without MRML."""
