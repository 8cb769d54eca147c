//! Words of a definition that do nothing are warned of.

use dlstore_formats::package::fixture::ApkBuilder;
use dlstore_kit::{Done, Place, packages, place, without_lines, workspace};

fn compose(place: &Place, arch: &str) -> Done {
    place.run(["compose", "demo", "--arch", arch, "--from", "../packages"]).ok()
}

fn prepare() -> Place {
    let place = place!();
    for arch in ["amd64", "arm64"] {
        let deb = packages::deb("one", 1, arch).file(&format!("usr/lib/{arch}/x"), b"x", 0o644);
        place.package(&format!("one_{arch}.deb"), &deb.build());
    }
    place
}

fn image(place: &Place, name: &str, more: &str) {
    place.image(name, &format!("schema = 1\n{more}\n"));
}

/// What is warned of, without the lines of definitions.
fn warnings(done: &Done) -> Vec<String> {
    done.lines("warning:").into_iter().map(without_lines).collect()
}

const ONE: &str = "format = \"deb\"\npackages = [\"one\"]\narchitectures = [\"amd64\", \"arm64\"]\n";

#[test]
fn a_word_that_matches_nothing_is_a_warning_each_time() {
    let place = prepare();
    for (word, sentence) in [
        ("keep = [\"/usr/none/**\"]", "demo keeps /usr/none/**, which matches nothing in its packages"),
        ("exclude = [\"/usr/none\"]", "demo excludes /usr/none, which matches nothing in its packages"),
        ("overrides = [\"/etc/none\"]", "demo overrides /etc/none, which matches nothing in its packages"),
        ("waive = [\"one -> two: why\"]", "demo waives one -> two, but nothing needs that waiver"),
        ("skip = [\"ld-so-cache\"]", "demo skips ld-so-cache, which would make nothing here"),
    ] {
        image(&place, "demo", &format!("{ONE}{word}"));
        // The second time it is remembered.
        for _ in 0..2 {
            let said = format!("images/demo/image.toml:5: {sentence}");
            assert_eq!(compose(&place, "all").lines("warning:"), [said], "{word}");
        }
    }
}

#[test]
fn a_copy_of_a_built_in_definition_is_as_silent_as_that_until_it_says_something_else() {
    let place = place!();
    for (name, version) in
        [("tzdata", "2026f-r0"), ("alpine-baselayout-data", "3.6.5-r0"), ("ca-certificates-bundle", "1-r0")]
    {
        place.package(
            &format!("{name}-{version}.apk"),
            &ApkBuilder::new(name, version, "x86_64").file(&format!("usr/share/{name}/x"), b"x", 0o644).build(),
        );
    }
    let compose = |reference: &str| {
        let done = place.run(["compose", reference, "--arch", "amd64", "--from", "../packages"]);
        (done.out.clone(), warnings(&done.ok()))
    };
    let (built_in, silent) = compose("static:alpine");
    let is_skip = |warning: &&String| warning.contains(" skips ");
    assert_eq!(silent.iter().filter(is_skip).count(), 0, "{silent:?}");
    let text = std::fs::read_to_string(workspace::own("images/static/image.toml")).unwrap();
    place.image("static", &text);
    for reference in ["static:alpine", "images/static:alpine"] {
        assert_eq!(compose(reference), (built_in.clone(), silent.clone()), "{reference}");
    }
    place.image("static", &format!("# ours\n{text}"));
    let (same, warned) = compose("static:alpine");
    assert_eq!(same, built_in);
    assert_ne!(warned.iter().filter(is_skip).count(), 0, "{warned:?}");
}

#[test]
fn a_word_that_does_something_is_none() {
    let place = prepare();
    for word in [
        "keep = [\"/usr/share/doc/one/changelog\"]",
        "exclude = [\"/usr/share/one\", \"!/etc/one.conf\"]",
        "exclude = [\"/usr/share/one/**\", \"/usr/share/*/small\"]",
        "overrides = [\"/etc/one.conf\"]",
        "exclude = [\"/usr/share/one/data\"]\nwaive = [\"/usr/share/one/link -> data: why\", \"one -> *: why\"]",
        "skip = [\"nsswitch\", \"accounts\"]",
    ] {
        image(&place, "demo", &format!("{ONE}{word}"));
        assert_eq!(warnings(&compose(&place, "all")), [""; 0], "{word}");
    }
}

#[test]
fn what_is_for_one_architecture_is_no_warning_where_that_is_composed_too() {
    let place = prepare();
    image(&place, "demo", &format!("{ONE}exclude = [\"/usr/lib/amd64\"]"));
    for arch in ["all", "amd64", "amd64,arm64"] {
        assert_eq!(warnings(&compose(&place, arch)), [""; 0], "{arch}");
    }
    let expected = "demo excludes /usr/lib/amd64, which matches nothing in its packages (checked on: arm64)";
    assert_eq!(warnings(&compose(&place, "arm64")), [expected]);
}

/// A warning is remembered with the image, and its line is that of the text as it is now.
#[test]
fn the_line_of_a_warning_follows_the_definition_while_the_image_is_remembered() {
    let place = prepare();
    let words = "exclude = [\n\"/usr/none\",\n\"/usr/none,more\",\n\"!/usr/not\"]";
    let said = |first: usize| {
        [
            (first, "excludes /usr/none, which"),
            (first + 1, "excludes /usr/none,more, which"),
            (first + 2, "keeps /usr/not, which"),
        ]
        .map(|(line, sentence)| {
            format!("images/demo/image.toml:{line}: demo {sentence} matches nothing in its packages")
        })
    };
    image(&place, "demo", &format!("{ONE}{words}"));
    assert_eq!(compose(&place, "all").lines("warning:"), said(6));
    image(&place, "demo", &format!("# One line more.\n{ONE}{words}"));
    let done = compose(&place, "all");
    assert_eq!(done.lines("warning:"), said(7));
    assert!(done.err.contains("0 made"), "{done:?}");
    let planned = place.run(["compose", "demo", "--arch", "all", "--from", "../packages", "--dry-run"]).ok();
    assert!(said(7).iter().all(|line| planned.err.contains(line)), "{planned:?}");
}

#[test]
fn an_exclude_that_cannot_reach_below_says_so() {
    let place = prepare();
    image(&place, "below", ONE);
    image(&place, "demo", "extends = \"below\"\nexclude = [\"/usr/share/one/**\"]");
    let expected = "demo excludes /usr/share/one/**, which is in below: \
                    a definition can exclude only files of its own packages, so exclude it in below";
    assert_eq!(warnings(&compose(&place, "all")), [expected]);
    image(&place, "demo", "extends = \"static\"\nexclude = [\"/usr/share/zoneinfo\"]");
    let expected = "demo excludes /usr/share/zoneinfo, which is in static:embedded: \
                    a definition can exclude only files of its own packages, and static:embedded is built in";
    assert_eq!(warnings(&compose(&place, "amd64,arm64"))[0].split(" (checked").next(), Some(expected));
}

#[test]
fn what_is_built_in_is_not_warned_of() {
    let place = prepare();
    image(&place, "demo", "extends = \"static\"");
    assert_eq!(warnings(&compose(&place, "all")), [""; 0]);
}
