//! The order of versions against tables of our own and against the formats' own programs.

use std::cmp::Ordering;
use std::path::PathBuf;
use std::process::Command;

use dlstore_kit::workspace;
use proptest::prelude::*;

use super::*;

/// Checks every pair of a list that goes from the oldest to the newest.
fn check_ascending(format: Format, versions: &[&str]) {
    for (at, a) in versions.iter().enumerate() {
        for (other, b) in versions.iter().enumerate() {
            assert_eq!(compare(format, a, b), at.cmp(&other), "{a} {b}");
        }
    }
}

#[test]
fn debian_versions_are_ordered() {
    check_ascending(
        Format::Deb,
        &[
            "0~~",
            "0~",
            "0",
            "0a",
            "0+",
            "0.1",
            "1~rc1",
            "1",
            "1-1~bpo1",
            "1-1",
            "1-1+b1",
            "1-1.1",
            "1-2",
            "1-10",
            "1.2",
            "1.10",
            "2",
            "99999999999999999999",
            "100000000000000000000",
            "1:0",
            "1:0.1",
            "2:0",
        ],
    );
}

#[test]
fn debian_versions_that_are_written_differently_may_be_equal() {
    for (a, b) in [("1.0", "1.0-0"), ("0:1", "1"), ("1.01", "1.1"), ("1.0", "1.00-000"), ("00:1", "1")] {
        assert_eq!(compare(Format::Deb, a, b), Ordering::Equal, "{a} {b}");
    }
}

#[test]
fn debian_versions_follow_their_grammar() {
    for good in
        ["0", "1:2.3-4", "1.2+dfsg~rc1-1+b2", "2.41-12+deb13u4", "1:1.3.dfsg+really1.3.1-1+b1", "1-2-3", "1:2:3"]
    {
        assert!(is_valid(Format::Deb, good), "{good}");
    }
    for bad in
        ["", "a", "1-", ":1", "x:1", "1:", "-1", "2147483648:1", "1 2", "1/2", "1_2", "1.é", "1\n", "1-a:b", ".."]
    {
        assert!(!is_valid(Format::Deb, bad), "{bad:?}");
    }
    assert!(!is_valid(Format::Deb, &"1".repeat(201)));
}

#[test]
fn apk_versions_are_ordered() {
    check_ascending(
        Format::Apk,
        &[
            "0.9",
            "1_alpha",
            "1_alpha2",
            "1_beta",
            "1_pre",
            "1_rc",
            "1_rc1",
            "1_rc1-r1",
            "1",
            "1-r0",
            "1-r1",
            "1-r10",
            "1_cvs",
            "1_git20200101",
            "1_p",
            "1_p0",
            "1_p1",
            "1a",
            "1b",
            "1.000",
            "1.00",
            "1.0",
            "1.05",
            "1.4",
            "1.10",
            "2",
            "20240101123456",
        ],
    );
}

#[test]
fn apk_versions_follow_their_grammar() {
    for good in
        ["1", "1.2.3-r0", "9.9_p1-r2", "1.1.1w-r1", "2023c-r0", "1_alpha_pre2", "0.1_git20240101~0a1b2c-r3", "1~ab"]
    {
        assert!(is_valid(Format::Apk, good), "{good}");
    }
    for bad in
        ["", "a", "1.", ".1", "1-0", "1-r", "1-r1-r2", "1_foo", "1_", "1/2", "1 ", "1~", "1~xyz", "1:2", "..", "1ab"]
    {
        assert!(!is_valid(Format::Apk, bad), "{bad:?}");
    }
}

/// Asks a program for the order of two versions; `None` when it is not here. `apk` is where that one lies.
fn oracle(format: Format, apk: Option<&PathBuf>, a: &str, b: &str) -> Option<Ordering> {
    match format {
        Format::Apk => {
            let answer = Command::new(apk?).args(["version", "-t", "--", a, b]).output().ok()?;
            match answer.stdout.first()? {
                b'<' => Some(Ordering::Less),
                b'=' => Some(Ordering::Equal),
                b'>' => Some(Ordering::Greater),
                _ => None,
            }
        }
        Format::Deb | Format::Tar => {
            let holds = |operator| {
                let status = Command::new("dpkg").args(["--compare-versions", a, operator, b]).status().ok()?;
                Some(status.success())
            };
            Some(if holds("lt")? {
                Ordering::Less
            } else if holds("gt")? {
                Ordering::Greater
            } else {
                Ordering::Equal
            })
        }
    }
}

/// Compares with the oracle over generated pairs; `DLSTORE_ORACLE_CASES` asks for more of them.
fn check_against_oracle(format: Format, versions: impl Strategy<Value = (String, String)>) {
    let apk = workspace::shared("bin/apk");
    let apk = apk.as_ref();
    if oracle(format, apk, "1", "2") != Some(Ordering::Less) {
        eprintln!("the program that orders {} versions is absent: not compared with it", format.name());
        return;
    }
    let cases = std::env::var("DLSTORE_ORACLE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((a, b) in versions)| {
        prop_assert_eq!(Some(compare(format, &a, &b)), oracle(format, apk, &a, &b), "{} {}", a, b);
    });
}

/// Pairs of which the second often begins like the first: chance alone rarely makes close ones.
fn close(version: &'static str, tail: &'static str) -> impl Strategy<Value = (String, String)> {
    (version, version, tail, any::<bool>()).prop_map(|(a, b, tail, near)| {
        let b = if near { format!("{a}{tail}") } else { b };
        (a, b)
    })
}

#[test]
fn debian_order_is_that_of_dpkg() {
    check_against_oracle(
        Format::Deb,
        close(
            "([0-2]:)?[0-9]{1,2}([.+~-]?[a-cA-C0-2]{1,2}){0,4}(-[0-2a+~.]{1,3})?",
            "([.+~-]?[a0-9~]{0,2}[a0-9]){0,2}",
        ),
    );
}

#[test]
fn apk_order_is_that_of_apk() {
    check_against_oracle(
        Format::Apk,
        close(
            "[0-2]{1,2}(\\.[0-2]{1,3}){0,3}[ab]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-2]{0,2}){0,2}(-r[0-2]{1,2})?",
            "(\\.[0-2]{1,2}|[ab]|_(alpha|rc|p|git)[0-1]?|-r[0-2]|~ab)?",
        ),
    );
}

#[test]
fn apk_order_is_that_of_apk_for_odd_texts() {
    // A component without digits is left out: apk accepts it, no repository has one.
    check_against_oracle(
        Format::Apk,
        close("[0-1]([0-1a_pr-]|\\.[0-9]){0,6}", "([0-1a_pX~-]|\\.[0-9]|_pre|_rc|-r|[0-9]{15,19}){0,3}"),
    );
}

#[test]
fn all_versions_of_a_real_index_are_valid() {
    let Some(index) = workspace::shared("data/apk/alpine-3.16/APKINDEX.tar.gz") else { return };
    let bytes = std::fs::read(index).unwrap();
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::bufread::MultiGzDecoder::new(bytes.as_slice()), &mut text).unwrap();
    let text = String::from_utf8_lossy(&text);
    let versions: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("V:")).collect();
    assert!(versions.len() > 4000);
    for version in versions {
        assert!(is_valid(Format::Apk, version), "{version}");
    }
}
