"""Check verdicts and outcomes against their events: the chain proves the events, and this check the rows."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.events import EventKind
from app.domain.history import RowFault

# Each verdict given and each undo has exactly one event with all that was said, and each such event has its row. The
# newest event of an item has its outcome.
_FAULTS = text("""
    WITH told AS (
        SELECT id, kind, account_id, neuron_id, detail, (detail->>'verdict_id')::bigint AS verdict_id
        FROM event WHERE kind IN (:given, :undone) AND detail->>'verdict_id' IS NOT NULL),
    given AS (
        SELECT verdict.*, item.explanation_id, account.id AS known_account,
            encode(sha256(convert_to(coalesce(control.planted_text, explanation.text), 'UTF8')), 'hex') AS text_digest
        FROM verdict
        JOIN review_item AS item ON item.id = verdict.item_id
        JOIN explanation ON explanation.id = item.explanation_id
        JOIN account ON account.id = verdict.account_id
        LEFT JOIN review_control AS control ON control.item_id = item.id),
    compared AS (
        SELECT coalesce(given.id, told.verdict_id) AS verdict_id, CASE
            WHEN told.id IS NULL THEN 'added'
            WHEN given.id IS NULL THEN 'removed'
            WHEN (given.account_id, given.item_id, given.campaign_id, given.explanation_id)
                    IS DISTINCT FROM (told.account_id, (told.detail->>'item_id')::bigint,
                        (told.detail->>'campaign_id')::bigint, (told.detail->>'explanation_id')::bigint)
                OR (given.kind, given.note, given.confidence, given.guess)
                    IS DISTINCT FROM (told.detail->>'verdict', told.detail->>'note',
                        coalesce(told.detail->>'confidence', given.confidence),
                        coalesce(told.detail->>'guess', given.guess)) THEN 'edited'
            WHEN given.text_digest <> told.detail->>'text_digest' THEN 'text' END AS what
        FROM (SELECT * FROM given WHERE kind IS NOT NULL) AS given
        FULL JOIN (SELECT * FROM told WHERE kind = :given) AS told ON told.verdict_id = given.id
        UNION ALL
        SELECT coalesce(given.id, told.verdict_id), CASE
            WHEN told.id IS NULL THEN 'added' WHEN given.id IS NULL THEN 'removed'
            WHEN given.account_id IS DISTINCT FROM told.account_id THEN 'edited' END
        FROM (SELECT * FROM given WHERE kind IS NULL) AS given
        FULL JOIN (SELECT * FROM told WHERE kind = :undone) AS told ON told.verdict_id = given.undoes_id)
    SELECT 'verdict ' || verdict_id AS subject, what, verdict_id AS number FROM compared WHERE what IS NOT NULL
    UNION ALL
    SELECT 'item ' || item.id, 'edited', item.id FROM review_item AS item
    JOIN (
        SELECT DISTINCT ON (detail->>'item_id') (detail->>'item_id')::bigint AS item_id, detail
        FROM event WHERE kind IN (:given, :undone, :sent_back) ORDER BY detail->>'item_id', id DESC
    ) AS newest ON newest.item_id = item.id
    WHERE item.outcome IS DISTINCT FROM newest.detail->'after'->>'outcome'
    ORDER BY subject, number
""")
WORDS = {
    "added": "there is no event of it",
    "removed": "it was removed",
    "edited": "it is not what its event says",
    "text": "the text that was judged has been edited",
}


def changed_verdicts(session: Session) -> tuple[RowFault, ...]:
    """Verdicts and outcomes that contradict their events: edited, removed, added, or with an edited text.

    One query. Fields that older events do not have are not compared.
    """
    values = {
        "given": EventKind.VERDICT_GIVEN,
        "undone": EventKind.VERDICT_UNDONE,
        "sent_back": EventKind.ITEM_SENT_BACK,
    }
    return tuple(RowFault(row.subject, WORDS[row.what]) for row in session.execute(_FAULTS, values))
