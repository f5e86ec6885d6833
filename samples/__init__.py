"""Self-made clinical paperwork with known truth: `documents/` and `truth.json` (seed 0), and the generator of both.

Every patient, clinic and finding is invented. Nothing here is imported by medpipe_assets.
"""
