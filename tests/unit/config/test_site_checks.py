from __future__ import annotations

import os

import pytest

BUCKET = {
    "role": "immutable",
    "endpoint": "https://objects.example:8443",
    "region": "us-east-1",
    "bucket": "elm-street-vault",
    "lock_period": "35d",
    "access_key": {"env": "A"},
    "secret_key": {"env": "B"},
}


@pytest.mark.parametrize("path", ["images/backup", "copies/../images/./x", "images/a/b/c"])
def test_a_copy_inside_its_store_is_refused(site, raises_fault, path):
    site["copies.disk.path"] = path
    raises_fault(site.faults(), "copies.disk.path", "lies inside stores.xrays")


def test_a_copy_that_is_or_holds_a_store_is_refused(site, raises_fault):
    site["copies.disk.path"] = "images"
    raises_fault(site.faults(), "copies.disk.path", "is the folder of stores.xrays itself")
    site["copies.disk.path"] = "."
    raises_fault(site.faults(), "copies.disk.path", "holds stores.xrays")


def test_links_do_not_hide_that_a_copy_is_in_its_store(site, tmp_path, raises_fault):
    (tmp_path / "images" / "sub").mkdir(parents=True)
    (tmp_path / "other").symlink_to(tmp_path / "images" / "sub")
    site["copies.disk.path"] = "other/backup"
    raises_fault(site.faults(), "copies.disk.path", "lies inside stores.xrays")


def test_links_do_not_hide_two_copies_in_one_place(site, tmp_path, raises_fault):
    (tmp_path / "copies" / "disk").mkdir(parents=True)
    (tmp_path / "second").symlink_to("copies/disk")
    site["copies.disk2"] = {"role": "local", "path": "second"}
    raises_fault(site.faults(), "copies.disk2.path", "is also copies.disk.path")


@pytest.mark.parametrize(("path", "words"), [("copies/disk/b", "lies inside"), ("copies", "holds")])
def test_nested_copies_are_refused(site, raises_fault, path, words):
    site["copies.disk2"] = {"role": "local", "path": path}
    raises_fault(site.faults(), "copies.disk2.path", words)


def test_names_that_only_begin_alike_are_two_places(site):
    site["copies.disk2"] = {"role": "local", "path": "copies/disk2"}
    site["stores.ct"] = {**site.tables["stores"]["xrays"], "path": "images2"}
    site.load()


def test_two_stores_in_one_folder_are_refused_but_nested_ones_are_not(site, raises_fault):
    site["stores.ct"] = {**site.tables["stores"]["xrays"], "path": "images/ct"}
    site.load()
    site["stores.ct.path"] = "./images"
    raises_fault(site.faults(), "stores.ct.path", "is also stores.xrays.path")


@pytest.mark.parametrize("path", ["images", "images/.state"])
def test_state_inside_a_store_is_refused(site, raises_fault, path):
    site["site.state_dir"] = path
    raises_fault(site.faults(), "site.state_dir", "must not be inside the store")


def test_state_in_the_folder_of_a_copy_is_refused(site, raises_fault):
    site["site.state_dir"] = "copies/disk"
    raises_fault(site.faults(), "site.state_dir", "must not be the folder of copies.disk")


def test_media_inside_a_store_are_refused(site, raises_fault):
    site["copies.rotation.search"] = ["/media", "images/usb"]
    raises_fault(site.faults(), "copies.rotation.search[1]", "must not be inside stores.xrays")


def test_a_store_below_a_search_folder_is_fine(site, tmp_path):
    site["copies.rotation.search"] = [str(tmp_path)]
    site.load()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({}, "copies.second.bucket"),
        ({"endpoint": "https://OBJECTS.example:8443/"}, "copies.second.bucket"),
        ({"prefix": "a"}, "copies.second.prefix"),
    ],
)
def test_two_copies_in_one_part_of_a_bucket_are_refused(site, raises_fault, change, key):
    site["copies.second"] = {**BUCKET, **change}
    raises_fault(site.faults(), key, "with copies.vault")


def test_the_default_port_is_the_same_place(site, raises_fault):
    site["copies.vault.endpoint"] = "https://objects.example"
    site["copies.second"] = {**BUCKET, "endpoint": "https://objects.example:443"}
    raises_fault(site.faults(), "copies.second.bucket", "with copies.vault")


def test_different_prefixes_or_buckets_are_two_places(site):
    site["copies.vault.prefix"] = "a"
    site["copies.second"] = {**BUCKET, "prefix": "ab"}
    site["copies.third"] = {**BUCKET, "bucket": "other-vault"}
    site.load()


def test_a_wrong_prefix_is_not_taken_for_none(site, raises_fault):
    site["copies.vault.prefix"] = "a"
    site["copies.second"] = {**BUCKET, "prefix": "b/../b"}
    raises_fault(site.faults(), "copies.second.prefix", "must not hold")


def test_the_sweeper_is_not_the_writer(site, raises_fault):
    site["copies.vault.sweeper"] = {
        "access_key": {"env": "VAULT_ACCESS_KEY"},
        "secret_key": {"env": "SWEEP"},
    }
    raises_fault(site.faults(), "copies.vault.sweeper.access_key", "must not be the writer's")


def test_a_store_and_a_copy_do_not_share_a_name(site, raises_fault):
    site["copies.xrays"] = {"role": "local", "path": "copies/x"}
    raises_fault(site.faults(), "copies.xrays", "a store has this name already")


@pytest.mark.parametrize(
    ("kind", "name"), [("copies", "local"), ("copies", "all"), ("stores", "all"),
                       ("actors", "system")]
)  # fmt: skip
def test_words_of_the_product_are_no_names(site, kind, name):
    tables = site.tables[kind]
    tables[name] = tables.pop(next(iter(tables)))
    assert any(fault.startswith(f"{kind}.{name}: ") for fault in site.faults())


def test_a_site_needs_a_local_copy(site, raises_fault):
    del site["copies.disk"]
    raises_fault(site.faults(), "copies", "it is the primary")


@pytest.mark.parametrize("role", ["boss", "system"])
def test_roles_are_a_closed_list(site, raises_fault, role):
    site["actors.it.roles"] = ["operator", role]
    raises_fault(site.faults(), "actors.it.roles[1]", "'operator', 'compliance' or 'custodian'")


def test_a_bind_mount_or_hard_name_is_seen_by_its_identity(site, tmp_path, monkeypatch):
    # A bind mount cannot be made without root: give two folders one identity instead.
    images, other = tmp_path / "images", tmp_path / "other"
    images.mkdir()
    other.mkdir()
    truth = os.stat

    def stat(path, **options):
        return truth(images if os.fspath(path) == str(other) else path, **options)

    monkeypatch.setattr(os, "stat", stat)
    site["copies.disk.path"] = "other/backup"
    assert "lies inside stores.xrays" in site.faults()[0]
