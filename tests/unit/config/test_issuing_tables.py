from __future__ import annotations

import datetime as dt

import pytest

from orchestrator.config.issuing import Certificates, Organization, PemSigner


def test_without_the_tables_the_sites_own_key_signs(site):
    config = site.load()
    assert config.organization == Organization()
    assert config.certificates == Certificates()
    assert config.vendors == {}


def test_the_tables_are_read(site, tmp_path):
    site["organization"] = {"address": ["1 Elm Street", "Austin"], "contact": "+1 512"}
    site["certificates"] = {"paper": "a4", "pem": {"certificate": "c.pem", "key": "k.pem"}}
    site["vendors"] = {"shred": {"name": "Shred & Sons", "agreement": "a.pdf"}}
    site["vendors.shred.expires"] = dt.date(2027, 12, 31)
    site["actors.it.place"] = "Austin"
    config = site.load()
    assert config.organization.address == ("1 Elm Street", "Austin")
    assert isinstance(config.certificates.signer, PemSigner)
    assert config.vendors["shred"].expires == dt.date(2027, 12, 31)
    assert config.actors["it"].place == "Austin"


@pytest.mark.parametrize(
    ("key", "value", "at", "words"),
    [
        ("certificates", {"paper": "legal"}, "certificates.paper", "letter"),
        ("certificates", {"timestamp_url": "ftp://x"}, "certificates.timestamp_url", "https"),
        (
            "certificates",
            {"timestamp_url": "https://tsa.example"},
            "certificates.timestamp_ca",
            "is needed",
        ),
        (
            "certificates",
            {
                "pem": {"certificate": "c", "key": "k"},
                "token": {
                    "certificate": "c",
                    "module": "m",
                    "token": "t",
                    "key": "k",
                    "pin": {"env": "PIN"},
                },
            },
            "certificates.token",
            "either pem or token",
        ),
        ("vendors", {"x": {"name": "X", "agreement": "a"}}, "vendors.x.expires", "belong together"),
        ("vendors", {"x": {"name": "X", "surprise": 1}}, "vendors.x.surprise", ""),
        ("organization", {"address": "1 Elm Street"}, "organization.address", "list"),
    ],
)
def test_what_makes_no_sense_is_told(site, raises_fault, key, value, at, words):
    site[key] = value
    raises_fault(site.faults(), at, words)
