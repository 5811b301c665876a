from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.config.jobs import load_jobs
from orchestrator.errors import ConfigError

SHIPPED = {
    "cache-purge": "purge-cache",
    "daily-check": "check",
    "disposal-settle": "disposal-settle",
    "kit-drill": "drill",
    "ledger-anchor": "anchor",
    "ledger-verify": "ledger-verify",
    "lock-extension": "extend",
    "monthly-drill": "drill",
    "nightly-backup": "backup",
    "offline-drill": "drill",
    "offline-rotation": "replicate",
    "overdue-review": "overdue-review",
    "retention-plan": "retention-plan",
    "snapshot-rotation": "rotate",
    "status": "status",
    "weekly-drill": "drill",
    "weekly-tamper-probe": "probe",
}


@pytest.fixture
def config(site):
    return site.load()


@pytest.fixture
def write(tmp_path):
    def put(name, text):
        (tmp_path / "jobs").mkdir(exist_ok=True)
        (tmp_path / "jobs" / name).write_text(text)

    return put


def faults(config):
    with pytest.raises(ConfigError) as caught:
        load_jobs(config)
    front = f"{config.jobs_dir}/"
    assert all(fault.startswith(front) for fault in caught.value.faults)
    return [fault.removeprefix(front) for fault in caught.value.faults]


def test_every_action_ships_as_a_job(config):
    jobs = load_jobs(config)
    assert {name: job.action for name, job in jobs.active.items()} == SHIPPED
    assert {job.origin for job in jobs.active.values()} == {"shipped"}
    assert all(job.stores is None for job in jobs.active.values())
    assert jobs.disabled == ()
    nightly = jobs.active["nightly-backup"]
    assert nightly.selects_store("xrays")
    assert nightly.selects_copy("disk", "local")
    assert not nightly.selects_copy("rotation", "offline")


def test_a_site_file_replaces_a_shipped_job_whole(config, write):
    write("daily-check.toml", 'action = "check"\nschedule = "0 1 * * *"\ncopies = ["vault"]\n')
    job = load_jobs(config).active["daily-check"]
    assert job.origin == "site"
    assert job.schedule == "0 1 * * *"
    # Nothing of the shipped file shines through.
    assert job.slices == 1
    assert job.max_duration == timedelta(hours=12)
    assert job.selects_copy("vault", "immutable")
    assert not job.selects_copy("disk", "local")


def test_a_site_adds_jobs_of_its_own(config, write):
    write("noon.toml", 'action = "backup"\nschedule = "0 12 * * *"\nstores = ["xrays"]\n')
    job = load_jobs(config).active["noon"]
    assert job.stores == ("xrays",)
    assert not job.selects_store("ct")


@pytest.mark.parametrize(
    "text",
    ["enabled = false", 'enabled = false\naction = "backup"\nschedule = "0 2 * * *"\n'],
)
def test_enabled_false_switches_a_job_off(config, write, text):
    write("nightly-backup.toml", text)
    jobs = load_jobs(config)
    assert "nightly-backup" not in jobs.active
    assert jobs.disabled == ("nightly-backup",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('action = "dispose"\nschedule = "0 2 * * *"', "action: must be 'backup'"),
        ('action = "backup"', "schedule: is missing"),
        ('schedule = "0 2 * * *"', "action: is missing"),
        ('action = "backup"\nschedule = "0 25 * * *"', "schedule: '0 25 * * *' is not a cron"),
        ('action = "backup"\nschedule = "0 2 * *"', "schedule: '0 2 * *' must have five"),
        ('action = "backup"\nschedule = "0 2 * * *"\nstores = ["ct"]', "stores[0]: 'ct' is not"),
        ('action = "backup"\nschedule = "0 2 * * *"\ncopies = []', "copies: must be"),
        ('action = "backup"\nschedule = "0 2 * * *"\ncopies = "local"', "copies: must be"),
        ('action = "backup"\nschedule = "0 2 * * *"\nslices = 7', "slices: is for action"),
        ('action = "check"\nschedule = "0 2 * * *"\nslices = 0', "slices: must be at least 1"),
        ('action = "check"\nschedule = "0 2 * * *"\nmax_duration = "0s"', "max_duration: must"),
        ('action = "check"\nschedule = "0 2 * * *"\nwen = 1', "wen: is not a known key"),
        ('action = "check"\nwhen = "medium returns"', "when: is for action"),
        ('action = "drill"\nwhen = "it rains"', "when: must be 'medium returns'"),
        (
            'action = "drill"\nschedule = "0 2 * * *"\nwhen = "medium returns"',
            "when: takes the place of schedule",
        ),
        ('action = "backup"\nschedule = "0 2 * * *"\npick = "random"', "pick: is for action"),
        ('action = "drill"\nschedule = "0 2 * * *"\npick = "some"', "pick: must be 'each' or"),
        ('action = "drill"\nschedule = "0 2 * * *"\nkit = "k.txt"', "kit: means nothing without"),
        (
            'action = "drill"\nschedule = "0 2 * * *"\nfrom_kit = true\nslices = 4',
            "slices: a drill from the kit is of the whole",
        ),
        ('enabled = "no"', "enabled: must be true or false"),
        ("enabled = true", "action: is missing"),
        ("action", "end of document: not valid TOML"),
    ],
)
def test_each_wrong_job_file_is_named(config, write, text, expected):
    write("mine.toml", text)
    assert any(fault.startswith(f"mine.toml: {expected}") for fault in faults(config))


def test_faults_of_all_job_files_come_at_once(config, write):
    write("a.toml", 'action = "x"\nschedule = "y"')
    write("b.toml", "= 1")
    write("Bad_Name.toml", "enabled = false")
    found = faults(config)
    assert {fault.split(":")[0] for fault in found} == {"a.toml", "b.toml", "Bad_Name.toml"}
    assert len(found) == 4


def test_a_wrong_site_job_never_falls_back_to_the_shipped_one(config, write):
    write("nightly-backup.toml", 'action = "backup"\nschedule = "never"\n')
    assert faults(config)


def test_other_files_in_the_folder_are_left_alone(config, write):
    write("README", "not a job")
    write("old.toml.bak", "= =")
    assert set(load_jobs(config).active) == set(SHIPPED)


def test_the_shipped_drills_cover_every_role_and_the_kit(config):
    active = load_jobs(config).active
    weekly, monthly = active["weekly-drill"], active["monthly-drill"]
    assert (weekly.copies, weekly.slices) == (("immutable",), 13)
    assert (monthly.slices, monthly.drill.pick) == (1, "random")
    assert active["kit-drill"].drill.from_kit
    assert active["kit-drill"].drill.kit is None
    offline = active["offline-drill"]
    assert (offline.schedule, offline.copies) == (None, ("offline",))


def test_a_kit_is_found_from_the_job_file(config, write):
    text = 'action = "drill"\nschedule = "0 2 1 * *"\nfrom_kit = true\nkit = "../safe/kit.txt"\n'
    write("mine.toml", text)
    kit = load_jobs(config).active["mine"].drill.kit
    assert kit == config.path.parent / "safe" / "kit.txt"
