"""Tests of telling what kind of question it is: a model is asked only what it can do."""

import pytest

from lctx.core.answering.intent import capability_needed
from lctx.core.models.profile import Capability

QUESTIONS = {
    Capability.LOOKUP: (
        "At what age is a person eligible to the Office of President?",
        "Who signed the Declaration for Delaware?",
        "On what date was Amendment XXVI ratified?",
        "How many days' written notice must a party give to terminate the agreement?",
        "What is the name of the pilot?",
        "Which law governs the contract?",
        "What was the price of the list?",
        "Is the tenant liable for repairs?",
        "What is the capital of France?",
        "who reviewed the report",
        "",
    ),
    Capability.LIST: (
        "List all parties to the contract.",
        "Name every amendment that mentions Congress",
        "Find all dates on which payment is due",
        "How many times is arbitration mentioned?",
        "Give me each deadline.",
        "list the exhibits",
    ),
    Capability.SUMMARY: (
        "Summarise this report",
        "Give me an overview.",
        "TL;DR",
        "What is this document about?",
        "What does the contract say?",
        "What are the main points?",
        "Explain this file.",
    ),
    Capability.COMPARE: (
        "Compare the two leases.",
        "What changed in revenue recognition, and why?",
        "What has changed since 2020?",
        "How do the drafts differ?",
        "What is the difference between the drafts?",
        "Plan A vs plan B",
    ),
    Capability.REVIEW: (
        "Is this safe to deploy?",
        "Review this change",
        "Are there any bugs?",
        "Find vulnerabilities",
        "Is this code correct?",
        "Are these changes safe?",
    ),
}


@pytest.mark.parametrize(
    ("kind", "question"), [(kind, question) for kind, asked in QUESTIONS.items() for question in asked]
)
def test_the_kind_of_a_question_is_told(kind, question):
    """This test ensures that a question is sent to a model only if it is of a kind that was measured."""
    assert capability_needed(question) is kind
    assert capability_needed(question.upper()) is kind


def test_the_hardest_kind_is_taken():
    """This test ensures that a question of two kinds asks for the harder one."""
    assert capability_needed("Summarise and compare the drafts") is Capability.COMPARE
    assert capability_needed("List all bugs and review this file") is Capability.REVIEW
