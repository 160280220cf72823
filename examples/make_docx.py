"""Writes services-agreement.docx, an invented contract with headings, a list and a table.

python examples/make_docx.py examples/services-agreement.docx
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import docx
from docx.document import Document

# Blank lines part the paragraphs; "# " begins a heading, "- " an item of a list, "| " the row of a table.
_AGREEMENT = """
This Services Agreement (the “Agreement”) is made on 3 March 2025 between Harbour Lane Analytics Ltd,
a company registered in Bristol (the “Supplier”), and Northfield Ferries plc, a company registered in Hull
(the “Customer”).

# 1. Services

The Supplier shall design, deliver and maintain a passenger demand forecast for the Customer's twelve routes.

The services comprise:

- a weekly forecast for each route, delivered every Monday by 09:00;

- a quarterly review of forecast errors, presented in person;

- telephone support on working days between 08:00 and 18:00.

# 2. Term and termination

This Agreement begins on 1 April 2025 and continues for twenty-four months.

Either party may terminate it by giving ninety days' written notice. The Customer may terminate at once if the
Supplier misses three weekly forecasts in any period of two months.

On termination the Supplier shall return all Customer data within fourteen days and delete every copy.

# 3. Fees and payment

The Customer shall pay the fees in the table below. Invoices are due thirty days after receipt. Late payments
bear interest at four per cent a year above the Bank of England base rate.

| Item | Fee (GBP) | Payable

| Design and delivery of the forecast model | 48,000 | on acceptance

| Maintenance, per quarter | 9,500 | in advance

| Additional route, each | 3,200 | on delivery

| Work outside the services, per day | 850 | monthly in arrears

# 4. Service levels

The mean absolute error of the forecasts, measured over each quarter, shall not exceed eight per cent.

Where it does, the Customer receives a credit of five per cent of that quarter's maintenance fee for each full
percentage point of excess, up to one quarter of the fee.

# 5. Confidentiality and data

Each party shall keep the other's confidential information secret for five years after this Agreement ends.

Passenger records shall be processed on the Supplier's own servers in Bristol and nowhere else. The Supplier
shall report any loss of passenger records within forty-eight hours.

# 6. Liability

The total liability of either party in any contract year is limited to GBP 250,000. Nothing in this Agreement
limits liability for fraud, or for death or personal injury caused by negligence.

# 7. General

This Agreement is governed by the law of England and Wales. Disputes are first referred to mediation in
Bristol.

Notices are sent to the company secretary of the party concerned, by post or by hand.
"""


def add_rows(document: Document, rows: list[str]) -> None:
    """Append a table, one row for each of `rows`; the first names the columns."""
    cells = [[cell.strip() for cell in row.removeprefix("|").split("|")] for row in rows]
    table = document.add_table(rows=len(cells), cols=len(cells[0]), style="Table Grid")
    for row, texts in zip(table.rows, cells, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text


def make_agreement() -> Document:
    """The whole agreement."""
    document = docx.Document()
    document.core_properties.title = "Services Agreement"
    document.core_properties.author = "The lctx authors"
    document.core_properties.created = document.core_properties.modified = datetime(2025, 3, 3, tzinfo=UTC)
    document.add_heading("Services Agreement", level=0)
    rows: list[str] = []
    for paragraph in _AGREEMENT.strip().split("\n\n"):
        text = " ".join(paragraph.splitlines())
        if text.startswith("|"):
            rows.append(text)
            continue
        if rows:
            add_rows(document, rows)
            rows = []
        if text.startswith("# "):
            document.add_heading(text.removeprefix("# "), level=1)
        elif text.startswith("- "):
            document.add_paragraph(text.removeprefix("- "), style="List Bullet")
        else:
            document.add_paragraph(text)
    return document


if __name__ == "__main__":
    make_agreement().save(str(Path(sys.argv[1])))
