"""A simulated firm and its CRM and advertising APIs on loopback.

Flow: `DemoCompany(seed).tables()` -> `serve_demo(tables)` -> the real sources read it by its URLs
    and token. Nothing outside this folder and the tests knows that the answers come from here. Run
    the servers alone with `python -m ingest.demo --help`.
"""

from ingest.demo.company_tables import write_company_tables
from ingest.demo.generator import DemoCompany
from ingest.demo.personal import personal_data_values
from ingest.demo.serving import serve_demo
from ingest.demo.tables import CompanyTables

__all__ = [
    "CompanyTables",
    "DemoCompany",
    "personal_data_values",
    "serve_demo",
    "write_company_tables",
]
