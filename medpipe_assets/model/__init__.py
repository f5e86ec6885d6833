"""What is learnt from a coded corpus: how its authors word a code, where, and how often such words mean it."""
