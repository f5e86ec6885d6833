"""Dagster objects of the datasets: made from their contracts, one chain of assets each."""
