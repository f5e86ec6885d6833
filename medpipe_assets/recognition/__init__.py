"""Recognition: text becomes clinical entities with traits (negation, history, family, hypothetical) and attributes."""
