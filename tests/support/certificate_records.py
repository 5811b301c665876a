"""Acts to be certified, as the actions would make them: plausible, and nobody's data."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from orchestrator.certificates.details import (
    CopyDisposal,
    Held,
    HiddenArea,
    Medium,
    Precondition,
    Rule,
    Series,
)
from orchestrator.certificates.parts import (
    Heading,
    Issuer,
    Person,
    Residual,
    Tool,
    Validation,
    Vendor,
    Verification,
)
from orchestrator.certificates.record import KeyDestruction, MediaSanitization, RecordDisposal

NOW = dt.datetime(2026, 3, 4, 15, 6, 7, tzinfo=dt.UTC)
DAY = NOW.date()


def person(part: Any, name: str, title: str, **more: Any) -> Person:
    values = {
        "date": DAY,
        "place": "Austin, Texas",
        "contact": "office@elm-street.example",
        "actor": name.lower().replace(" ", "-"),
    }
    return Person(part=part, name=name, title=title, **(values | more))


ANN = person("performed", "Ann Archer", "IT administrator")
BO = person("validated", "Bo Bauer", "Compliance officer")
CY = person("approved", "Cy Castillo", "Practice owner")


def heading(number: str = "2026-0001", **changes: Any) -> Heading:
    made = Heading(
        number=number,
        issued_at=NOW,
        timezone="America/Chicago",
        issuer=Issuer(
            name="Elm Street Dental",
            address=("1200 Elm Street, Suite 4", "Austin, Texas 78701"),
            contact="+1 512 555 0100",
        ),
        issued_by="privacy",
        log="elm-street-dental.invalid/disposal/1",
        product=Tool(name="imaging-orchestrator", version="0.4.0"),
    )
    return dataclasses.replace(made, **changes)


def sanitization(sanitization: str = "s-20260304-a1b2c3", **changes: Any) -> MediaSanitization:
    made = MediaSanitization(
        sanitization=sanitization,
        medium=Medium(
            manufacturer="Western Digital",
            model="WDC WD40EFRX-68N32N0",
            serial="WD-WCC7K0123456",
            serial_source="device and adapter agree",
            property_number="ESD-0042, label RED",
            media_type="magnetic disk",
            media_source="backup workstation, room 3",
            size_bytes=4_000_787_030_016,
            interface="SATA",
            category_before="contains ePHI",
            category_after="no data expected",
            destination="re-use inside the practice",
        ),
        method="clear",
        method_reasons=(
            "Every addressable sector was overwritten once and read back.",
            "Host protected area and device configuration overlay were looked for and not found.",
        ),
        technique="overwrite, one pass of zeros, with full read-back",
        basis="measured",
        tools=(Tool(name="nwipe", version="0.34"),),
        started_at=NOW - dt.timedelta(hours=9),
        ended_at=NOW - dt.timedelta(minutes=30),
        verification=Verification(
            basis="measured",
            result="verified",
            how="All sectors were read back past the cache and compared with zeros; 16 random "
            "markers of 1 MiB, written before, are gone.",
            coverage="100 % of 7,814,037,168 sectors",
            at=NOW - dt.timedelta(minutes=20),
            findings=("The tool's log reports no errors.", "No sector was reallocated."),
        ),
        validation=Validation(result="accepted", reasons=("Errors: none. Scope: whole disk.",)),
        hidden_areas=(
            HiddenArea(area="HPA", reached="not_present", detail="native size equals size"),
            HiddenArea(area="DCO", reached="not_present", detail="identify data"),
            HiddenArea(area="reallocated sectors", reached="not_reached", detail="none reported"),
        ),
        held=Held(repositories=("xrays",), snapshots=("ab" * 32, "cd" * 32), keys=("xrays",)),
        persons=(CY, ANN, BO),
        evidence={"transcript": "11" * 32, "device_before": "22" * 32, "device_after": "33" * 32},
        ledger=(41, 42, 43, 47),
    )
    return dataclasses.replace(made, **changes)


def rejected() -> MediaSanitization:
    base = sanitization("s-rejected")
    return dataclasses.replace(
        base,
        medium=dataclasses.replace(base.medium, media_type="SATA SSD", destination="shredder"),
        method=None,
        method_reasons=("The organization rejected the outcome; the technique would be Clear.",),
        validation=Validation(
            result="rejected",
            reasons=(
                "The scope is too narrow: over-provisioned blocks of flash were not reached.",
                "The medium goes to be shredded.",
            ),
        ),
        hidden_areas=(
            HiddenArea(area="over-provisioned blocks", reached="not_reached", detail="overwrite"),
            HiddenArea(area="HPA", reached="unknown", detail="the adapter hides it"),
        ),
    )


def batch(serials: int = 200) -> MediaSanitization:
    return sanitization(
        "s-batch",
        medium=Medium(
            manufacturer=None,
            model=None,
            serial=None,
            property_number=f"batch of {serials} media",
            media_type="magnetic tapes and disks",
            destination="recycling of the shreds",
        ),
        method="destroy",
        method_reasons=("Shredded by the vendor; the technique destroys media of this kind.",),
        technique="shred, particles of at most 6 mm as stated by the vendor",
        basis="attested",
        tools=(Tool(name="shredder MX-200", version="serial 8812"),),
        started_at=None,
        verification=Verification(
            basis="attested",
            result="unverified",
            how="The vendor's certificate lists every serial number; nobody of ours was present.",
        ),
        hidden_areas=(),
        held=Held(),
        persons=(
            dataclasses.replace(
                ANN, name="Dana Doe", title="Shred operator", organization="Shredding & Sons, Inc."
            ),
            BO,
            person("witnessed", "Eve Esposito", "Office manager"),
        ),
        residual=(),
        vendor=Vendor(
            key="shredding-sons",
            name="Shredding & Sons, Inc.",
            agreement_expires=dt.date(2026, 1, 31),
            certification="NAID AAA, id 4711",
            certification_expires=dt.date(2026, 12, 31),
            certificate_sha256="44" * 32,
            overridden_by=(BO, CY),
        ),
        serials=tuple(f"WD-WX{n:03d}K{(n * 7919) % 1_000_000:06d}" for n in range(serials)),
        evidence={"vendor_certificate": "44" * 32},
    )


def disposal(**changes: Any) -> RecordDisposal:
    made = RecordDisposal(
        disposal="d-2026-03",
        series=Series(
            record_class="dental X-ray image",
            description="Intra-oral and panoramic X-ray studies of adult patients",
            dates_from=dt.date(2009, 1, 5),
            dates_to=dt.date(2016, 12, 20),
            studies=12,
            files=96,
            size_bytes=48_112_004_551,
            subjects=tuple(f"sha256:{n:064x}" for n in range(12)),
        ),
        rules=(
            Rule(
                schedule="us-tx-dental",
                version="3",
                rule="adult dental record",
                citation="22 Tex. Admin. Code § 108.8",
                due=dt.date(2024, 1, 1),
            ),
            Rule(
                schedule="us-federal-payers",
                version="2",
                rule="ordering and billing documents",
                citation="42 CFR 424.516(f)",
                due=dt.date(2023, 12, 21),
            ),
        ),
        holds_checked_at=NOW - dt.timedelta(hours=1),
        holds_found=0,
        copies=(
            CopyDisposal(
                copy="live store",
                role="store",
                technique="removed",
                basis="measured",
                state="absent",
                proved_at=NOW,
            ),
            CopyDisposal(
                copy="disk",
                role="local",
                technique="rewritten without the records, then pruned to the last byte",
                basis="measured",
                state="absent",
                proved_at=NOW,
            ),
        ),
        verification=Verification(
            basis="measured",
            result="verified",
            how="Every copy was listed and read back; no file of the records was found.",
            coverage="all snapshots of all copies",
            at=NOW,
        ),
        persons=(
            person("requested", "Ann Archer", "IT administrator"),
            dataclasses.replace(CY, part="approved"),
            person("concurred", "Bo Bauer", "Compliance officer"),
        ),
        evidence={"plan": "55" * 32},
        ledger=(101, 102, 140),
    )
    return dataclasses.replace(made, **changes)


def disposal_with_residue() -> RecordDisposal:
    base = disposal(disposal="d-2026-04")
    return dataclasses.replace(
        base,
        copies=(
            *base.copies,
            CopyDisposal(
                copy="rotation",
                role="offline",
                technique="files are removed at the medium's next visit",
                basis="measured",
                state="residual",
                media=("blue", "green"),
            ),
            CopyDisposal(
                copy="vault",
                role="immutable",
                technique="versions are removed when their lock ends",
                basis="measured",
                state="residual",
            ),
        ),
        verification=dataclasses.replace(base.verification, result="unverified"),
        residual=(
            Residual(
                where="rotation",
                what="encrypted backup files on the media blue and green",
                until=dt.date(2026, 3, 11),
                then="they are removed and the medium is read back",
            ),
            Residual(
                where="vault",
                what="encrypted backup files that Object Lock keeps from removal",
                until=dt.date(2026, 4, 8),
                then="the versions are removed and the removal is proved by listing",
            ),
        ),
    )


def key_destruction(**changes: Any) -> KeyDestruction:
    made = KeyDestruction(
        destruction="k-2026-01",
        key="cohort-2016",
        provider="AWS KMS, us-east-1",
        module="AWS Key Management Service HSM, as the operator states it",
        how="scheduled for deletion, waiting period of 30 days",
        reference="arn:aws:kms:us-east-1:111122223333:key/1234abcd",
        destroyed_at=NOW - dt.timedelta(days=31),
        confirmed_at=NOW,
        cohort="dental X-ray images whose period ended in 2023",
        algorithms=(
            "Data: AES-256 in counter mode with Poly1305-AES, by restic 0.18.",
            "Password: 32 random bytes, wrapped with AES-256-GCM under the key.",
        ),
        copies=("disk, repository xrays-2016", "vault, repository xrays-2016"),
        preconditions=(
            Precondition(
                statement="Encryption was in place from the first write on every copy.",
                answer="yes",
                shown_by="ledger entry 12",
            ),
            Precondition(
                statement="No copy of the key exists in escrow or in a backup.",
                answer="unknown",
                shown_by=None,
            ),
        ),
        negative_tests=(
            "disk: restic was refused with the unwrapping of the password.",
            "vault: restic was refused with the unwrapping of the password.",
        ),
        escrow=("Sheets 1 and 2 were collected and shredded.", "Sheet 3 was not returned."),
        verification=Verification(
            basis="measured",
            result="verified",
            how="The provider reports that the key does not exist.",
            at=NOW,
        ),
        validation=Validation(result="accepted"),
        persons=(CY, ANN, BO),
        method=None,
        method_reasons=("Not all preconditions of cryptographic erase are established.",),
        residual=(
            Residual(
                where="vault",
                what="ciphertext under Object Lock",
                until=dt.date(2026, 4, 8),
                then="the versions are removed",
            ),
        ),
        evidence={"provider_reply": "66" * 32},
        ledger=(200, 201, 260),
    )
    return dataclasses.replace(made, **changes)


def foreign_names() -> MediaSanitization:
    return sanitization(
        "s-names",
        persons=(
            person("approved", "محمد علي الحسيني", "مدير العيادة", actor="a"),
            person("performed", "田中太郎 (Tanaka Tarō)", "システム管理者", actor="b"),
            person("verified", "김철수", "IT 관리자", actor="c"),
            person("validated", "Владимир Иванов-Żółć", "Ответственный", actor="d"),
            person("witnessed", "अनिता शर्मा", "प्रबंधक", actor="e"),
            person("concurred", "דוד כהן / Ἀριστοτέλης", "מנהל", actor="f"),
            person("witnessed", "Evil \u202ename 😀\U000f0000", "x" * 120, actor="g"),
        ),
    )
