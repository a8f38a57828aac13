"""From paths to songs: what ``add`` was given, which role each file plays, and their sums."""

from engine.ingest.plan import SourceFile, SourceKind, SourcePlan, plan_sources
from engine.ingest.roles import role_of
from engine.ingest.sums import sum_files

__all__ = ["SourceFile", "SourceKind", "SourcePlan", "plan_sources", "role_of", "sum_files"]
