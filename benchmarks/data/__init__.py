"""Makes the files that benchmarks measure with: real layouts and real kinds of dirt, people and places that are not."""
