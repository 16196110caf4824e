"""Statements of a report that only the auditor can make: the database holds no data for them."""

from enum import StrEnum

LONGEST_STATEMENT = 4_000


class Statement(StrEnum):
    """One statement of the auditor; members are in the order of the report."""

    SIGNATORIES = "signatories"
    BACKGROUND = "background"
    PAYER = "payer"
    CONFLICTS = "conflicts"
    RELATION = "relation"
    LICENCE = "licence"
    SEEN = "seen"
    WITHHELD = "withheld"
    CLAIMS = "claims"
    USES_NOT_SUPPORTED = "uses_not_supported"
    DEVIATIONS = "deviations"
    LIMITS = "limits"
    CONTEST = "contest"

    @property
    def question(self) -> str:
        """The question of the form's field."""
        return _QUESTIONS[self]


_QUESTIONS = {
    Statement.SIGNATORIES: "Who signs this report?",
    Statement.BACKGROUND: "Which training and experience do the auditors have?",
    Statement.PAYER: "Who pays for the audit, and how much depends on its result?",
    Statement.CONFLICTS: "Which interests of the auditors could be touched by its result?",
    Statement.RELATION: "What is their relation to the provider of the model?",
    Statement.LICENCE: "Under which licence is the model used?",
    Statement.SEEN: "What were the auditors given to see: weights, training data, documentation, people?",
    Statement.WITHHELD: "What was asked for and withheld?",
    Statement.CLAIMS: "What may be concluded from the audit?",
    Statement.USES_NOT_SUPPORTED: "For which uses does it say nothing?",
    Statement.DEVIATIONS: "Where was the sampling plan not followed, and why?",
    Statement.LIMITS: "Which limits should a reader know?",
    Statement.CONTEST: "How can the result be contested, with whom, until when?",
}
