"""The Dagster objects of medpipe, one folder a line, and the resources they run on."""

import warnings

import dagster as dg

# Backfill policies and partitioned checks are in beta and in preview: we pin the release that we tested them with, and
# a person who runs medpipe can do nothing about it.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
