"""The check that an executed score comes from: its precision and recall stand beside the score."""

from sqlalchemy import and_

from app.domain.executed import EXECUTED
from app.models import CorpusCheck, Score

ITS_CHECK = and_(
    Score.scorer == EXECUTED,
    CorpusCheck.explanation_id == Score.explanation_id,
    CorpusCheck.collection_id == Score.collection_id,
)
"""Joins ``CorpusCheck`` to ``Score``, outer: other scores have none."""
