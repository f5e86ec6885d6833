"""Translation: page text becomes sentence segments with English beside them, aligned where the engine can."""
