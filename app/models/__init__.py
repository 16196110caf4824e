"""Tables only."""

from app.models.accounts import (
    Account,
    ApiToken,
    AttemptCount,
    LoginToken,
    News,
    OpenIdIdentity,
    OpenIdLogin,
    SecondFactor,
    WebSession,
)
from app.models.audit import Event, EventLink, Flag, RowSeal
from app.models.base import Base
from app.models.checks import CheckMistake, CorpusCheck
from app.models.counts import (
    COUNT_TABLES,
    CallCount,
    ChangeCount,
    DoubtedCount,
    MethodCount,
    NeuronCount,
    RankCount,
    RunCount,
    TableCount,
)
from app.models.doubts import ExplanationDoubt
from app.models.embeddings import EmbeddingModel, QueryEmbedding
from app.models.explanations import Explanation, Method, MethodStanding, Score, Simulation
from app.models.imports import DataImport, ImportedJudgement, ImportProblem
from app.models.lists import ListedNeuron, NeuronList, SavedSearch
from app.models.providers import Provider, Spending
from app.models.review import (
    Campaign,
    CampaignDraw,
    CampaignVersion,
    RejectedExplanation,
    ReviewControl,
    ReviewItem,
    ReviewSkip,
    ReviewSlot,
    ReviewVerdict,
)
from app.models.runs import Batch, LlmCall, Run, RunChange
from app.models.statements import AuditStatement
from app.models.subjects import CollectedNeuron, Collection, Neuron, Sample, Subject
from app.models.text import Corpus, Document, Excerpt, Tokenizer, VocabularyToken
from app.models.versions import ContentChange
from app.models.work import Pause, Task, Turn, Worker

__all__ = [
    "COUNT_TABLES",
    "Account",
    "ApiToken",
    "AttemptCount",
    "AuditStatement",
    "Base",
    "Batch",
    "CallCount",
    "Campaign",
    "CampaignDraw",
    "CampaignVersion",
    "ChangeCount",
    "CheckMistake",
    "CollectedNeuron",
    "Collection",
    "ContentChange",
    "Corpus",
    "CorpusCheck",
    "DataImport",
    "Document",
    "DoubtedCount",
    "EmbeddingModel",
    "Event",
    "EventLink",
    "Excerpt",
    "Explanation",
    "ExplanationDoubt",
    "Flag",
    "ImportProblem",
    "ImportedJudgement",
    "ListedNeuron",
    "LlmCall",
    "LoginToken",
    "Method",
    "MethodCount",
    "MethodStanding",
    "Neuron",
    "NeuronCount",
    "NeuronList",
    "News",
    "OpenIdIdentity",
    "OpenIdLogin",
    "Pause",
    "Provider",
    "QueryEmbedding",
    "RankCount",
    "RejectedExplanation",
    "ReviewControl",
    "ReviewItem",
    "ReviewSkip",
    "ReviewSlot",
    "ReviewVerdict",
    "RowSeal",
    "Run",
    "RunChange",
    "RunCount",
    "Sample",
    "SavedSearch",
    "Score",
    "SecondFactor",
    "Simulation",
    "Spending",
    "Subject",
    "TableCount",
    "Task",
    "Tokenizer",
    "Turn",
    "VocabularyToken",
    "WebSession",
    "Worker",
]
