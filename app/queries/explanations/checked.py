"""The check behind an executed score; its precision and recall are shown beside the score."""

from sqlalchemy import and_

from app.domain.executed import EXECUTED
from app.models import CorpusCheck, Score

ITS_CHECK = and_(
    Score.scorer == EXECUTED,
    CorpusCheck.explanation_id == Score.explanation_id,
    CorpusCheck.collection_id == Score.collection_id,
)
"""Outer join of ``CorpusCheck`` to ``Score``: scores that were not executed have no check."""
