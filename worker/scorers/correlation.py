"""The headline score: Pearson correlation of expected and real activations."""

from collections.abc import Sequence

from app.domain.results import ScoreResult
from app.domain.scores import correlation_with_interval, margin_with_interval
from app.domain.standing import MARGIN_2023
from app.domain.steps.scored_records import SAMPLES
from worker.method.contracts import ScoredExcerpt
from worker.scorers.samples import STRATA, SampleScorer, scored


class CorrelationScorer(SampleScorer):
    """Pearson r over all tokens laid end to end. Source: ``ev_correlation_score`` of the 2023 paper.

    Its margin over the token table (``correlation_margin``) is paired: both are measured on the same excerpts.
    """

    name = "correlation"
    version = 1
    formulas = ((name, correlation_with_interval),)

    def margins(
        self, excerpts: Sequence[ScoredExcerpt], table: Sequence[ScoredExcerpt], *, seed: int
    ) -> tuple[ScoreResult, ...]:
        """The margin of the 2023 score, if that is among the samples; empty without a token table.

        ``table`` has the same records with the token table's predictions.
        """
        if MARGIN_2023.sample not in self.samples:
            return ()
        by_table = {(e.kind, e.record.excerpt_id): e.predicted for e in table}
        own = [e for e in excerpts if e.kind in SAMPLES[MARGIN_2023.sample]]
        rows = [
            (e, predicted, expected)
            for e in own
            if (predicted := e.predicted) is not None
            and (expected := by_table.get((e.kind, e.record.excerpt_id))) is not None
        ]
        if not rows:
            return ()
        estimate = margin_with_interval(
            [e.record.activations for e, _, _ in rows],
            ([predicted for _, predicted, _ in rows], [expected for _, _, expected in rows]),
            [STRATA[e.kind] for e, _, _ in rows],
            seed=seed,
        )
        return (scored(MARGIN_2023.scorer, MARGIN_2023.sample, estimate, n_valid=len(rows), n=len(own)),)
