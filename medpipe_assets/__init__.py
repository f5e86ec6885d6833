"""medpipe: clinical paperwork in many languages becomes coded, queryable tables with evidence.

The package is laid out by stage (`extraction`, `translation`, `recognition`, `coding`), by storage (`lake`,
`warehouse`, `inbox`) and by orchestration (`defs`). Arrows point down: `defs` may import everything, nothing below
`defs` imports Dagster, and no stage imports another stage.
"""

__version__ = "0.1.0"
