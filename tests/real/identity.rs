//! What distribution an image says it is: a root of `.apk`s is its packages' distribution, whoever composed it, so that
//! scanners find its advisories. And where the database stands that they read beside it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use dlstore_formats::package::fixture::{ApkBuilder, DebBuilder};
use dlstore_kit::images::{self, ALPINE, ARCHITECTURES};
use dlstore_kit::inputs::{apk_tool, apks, superuser};
use dlstore_kit::layers::{Kind, flatten};
use dlstore_kit::{Done, Layout, Place, alpine_release, lifetime, place, program, roots, succeed, tzdata};

const ID: &str = "NAME=\"Alpine Linux\"\nID=alpine\n";
const LINKS: &str = "HOME_URL=\"https://alpinelinux.org/\"\n\
    BUG_REPORT_URL=\"https://gitlab.alpinelinux.org/alpine/aports/-/issues\"\n";
const WARNING: &str = "warning: nothing says which release of Alpine the packages are from, so scanners will not know \
    the branch: set os-release.VERSION_ID, or add the package alpine-release";

fn apk(name: &str) -> ApkBuilder {
    ApkBuilder::new(name, "1.0-r0", "x86_64").file(&format!("usr/share/{name}"), b"", 0o644)
}

/// A place with packages for amd64, and an image `demo` of them.
fn stage(packages: &[ApkBuilder], names: &str, more: &str) -> Place {
    let place = place!();
    for (number, package) in packages.iter().enumerate() {
        place.package(&format!("{number}.apk"), &package.build());
    }
    place.image("demo", &format!("schema = 1\nformat = \"apk\"\npackages = [{names}]\n{more}\n"));
    place
}

fn compose(place: &Place, image: &str) -> Done {
    let from = ["--from", "../packages"];
    place.run([&["compose", image, "--arch", "amd64", "-o", "oci:out:made", "--force"][..], &from].concat()).ok()
}

/// What the image of a place has, as text by path; the target of a link.
fn texts(place: &Place) -> BTreeMap<String, String> {
    let files = Layout(place.project().join("out")).files("made", "amd64").into_iter();
    files
        .map(|(path, (header, content))| {
            let target = header.link_name().unwrap().map(|target| target.to_str().unwrap().to_owned());
            (path, target.unwrap_or_else(|| String::from_utf8_lossy(&content).into_owned()))
        })
        .collect()
}

/// A place with the real packages, and those that are not among them.
fn furnished() -> Option<Place> {
    let apks = apks()?;
    let place = place!();
    for entry in fs::read_dir(apks.join("x86_64")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "apk") {
            fs::copy(&entry, place.packages().join(entry.file_name().unwrap())).unwrap();
        }
    }
    tzdata::write(&place.packages().join("tzdata"));
    alpine_release::write(&place.packages().join("release"));
    Some(place)
}

#[test]
fn alpines_own_release_package_stays_as_it_is() {
    let Some(place) = furnished() else { return };
    for flavor in ALPINE {
        place.image("demo", &format!("schema = 1\nextends = \"{flavor}\"\npackages = [\"alpine-release\"]\n"));
        let done = compose(&place, "demo");
        assert!(!done.err.contains("warning"), "{}", done.err);
        let made = texts(&place);
        assert_eq!(made["usr/lib/os-release"], alpine_release::OS_RELEASE, "{flavor}");
        assert_eq!(made["etc/os-release"], "../usr/lib/os-release", "{flavor}");
        assert_eq!(made["etc/alpine-release"], format!("{}\n", alpine_release::RELEASE), "{flavor}");
    }
    let listed = place.json(&["files", "demo", "--arch", "amd64", "--from", "../packages"]);
    let files = listed["listings"][0]["files"].as_array().unwrap();
    for path in ["/etc/alpine-release", "/etc/os-release", "/usr/lib/os-release"] {
        let file = files.iter().find(|file| file["path"] == path).unwrap();
        assert_eq!(file["origin"], "apk:alpine-release=3.20.3-r0/x86_64", "{path}");
    }
}

#[test]
fn a_release_of_the_definition_is_in_os_release_and_in_alpine_release() {
    let Some(place) = furnished() else { return };
    for flavor in ALPINE {
        place.image("demo", &format!("schema = 1\nextends = \"{flavor}\"\nos-release.VERSION_ID = \"3.20.0\"\n"));
        let done = compose(&place, "demo");
        assert!(!done.err.contains("warning"), "{}", done.err);
        let made = texts(&place);
        let expected = format!("{ID}VERSION_ID=3.20.0\nPRETTY_NAME=\"Alpine Linux v3.20\"\n{LINKS}");
        assert_eq!(made["usr/lib/os-release"], expected, "{flavor}");
        assert_eq!(made["etc/os-release"], "../usr/lib/os-release", "{flavor}");
        assert_eq!(made["etc/alpine-release"], "3.20.0\n", "{flavor}");
    }
}

#[test]
fn without_a_release_it_is_alpine_and_a_warning_says_what_scanners_lack() {
    let Some(place) = furnished() else { return };
    for flavor in ALPINE {
        let done = compose(&place, flavor);
        assert!(done.err.contains(WARNING), "{}", done.err);
        let made = texts(&place);
        assert_eq!(made["usr/lib/os-release"], format!("{ID}PRETTY_NAME=\"Alpine Linux\"\n{LINKS}"), "{flavor}");
        assert!(!made.contains_key("etc/alpine-release"), "{flavor}");
        // What only adds files has the same notes, planned as a whole or on top of what is remembered.
        place.image("demo", &format!("schema = 1\nextends = \"{flavor}\"\nfiles.\"/opt/x\" = {{ content = \"x\" }}\n"));
        for _ in 0..2 {
            let done = compose(&place, "demo");
            assert_eq!(done.err.matches(WARNING).count(), 1, "{}", done.err);
        }
    }
}

#[test]
fn packages_are_alpines_whatever_the_image_is_called_or_extends() {
    let place = stage(&[apk("aa")], "\"aa\"", "");
    let own = format!("{ID}PRETTY_NAME=\"Alpine Linux\"\n{LINKS}");
    assert!(compose(&place, "demo").err.contains(WARNING));
    assert_eq!(texts(&place)["usr/lib/os-release"], own);
    // On top of an image that has a name of its own.
    place.image("demo", "schema = 1\nextends = \"static\"\nformat = \"apk\"\npackages = [\"aa\"]\n");
    assert!(compose(&place, "demo").err.contains(WARNING));
    assert_eq!(texts(&place)["usr/lib/os-release"], own);
    // A field is the definition's, and says no release.
    place.image(
        "demo",
        "schema = 1\nformat = \"apk\"\npackages = [\"aa\"]\nos-release.VARIANT_ID = \"x\"\nos-release.VERSION_ID = \"\"\n",
    );
    assert!(compose(&place, "demo").err.contains(WARNING));
    assert_eq!(texts(&place)["usr/lib/os-release"], format!("{own}VARIANT_ID=x\nVERSION_ID=\"\"\n"));
    // An image of nothing but the format has no packages to speak of.
    place.image("demo", "schema = 1\nformat = \"apk\"\nfiles.\"/x\" = { content = \"x\" }\n");
    assert!(!compose(&place, "demo").err.contains("warning"));
    assert_eq!(texts(&place)["usr/lib/os-release"], "NAME=demo\nID=demo\nPRETTY_NAME=demo\n");
}

#[test]
fn another_distribution_of_apks_is_what_its_package_or_the_definition_says() {
    let wolfi = "ID=wolfi\nNAME=\"Wolfi\"\nVERSION_ID=\"20230201\"\n";
    let base = ApkBuilder::new("wolfi-baselayout", "1.0-r0", "x86_64").file("etc/os-release", wolfi.as_bytes(), 0o644);
    let place = stage(&[base, apk("aa")], "\"wolfi-baselayout\", \"aa\"", "");
    assert!(!compose(&place, "demo").err.contains("warning"));
    let made = texts(&place);
    assert_eq!(made["etc/os-release"], wolfi);
    assert!(!made.contains_key("usr/lib/os-release") && !made.contains_key("etc/alpine-release"));
    let fields = "os-release.ID = \"wolfi\"\nos-release.VERSION_ID = \"20230201\"";
    let place = stage(&[apk("aa")], "\"aa\"", fields);
    assert!(!compose(&place, "demo").err.contains("warning"));
    let made = texts(&place);
    assert_eq!(made["usr/lib/os-release"], "NAME=wolfi\nID=wolfi\nPRETTY_NAME=wolfi\nVERSION_ID=20230201\n");
    assert!(!made.contains_key("etc/alpine-release"));
}

#[test]
fn an_own_alpine_release_stays_beside_the_definitions_field() {
    let own = "os-release.VERSION_ID = \"3.20.0\"\nfiles.\"/etc/alpine-release\" = { content = \"3.20.3\\n\" }";
    let place = stage(&[apk("aa")], "\"aa\"", own);
    assert!(!compose(&place, "demo").err.contains("warning"));
    let made = texts(&place);
    assert_eq!(made["etc/alpine-release"], "3.20.3\n");
    assert!(made["usr/lib/os-release"].contains("\nVERSION_ID=3.20.0\n"));
}

#[test]
fn a_skipped_fix_up_makes_no_release_and_warns_of_none() {
    let place = stage(&[apk("aa")], "\"aa\"", "skip = [\"os-release\"]\nos-release.VERSION_ID = \"3.20.0\"");
    assert!(!compose(&place, "demo").err.contains("scanners"));
    assert!(!texts(&place).keys().any(|path| path.ends_with("-release")));
}

#[test]
fn debs_without_base_files_have_the_name_of_the_image() {
    let place = place!();
    let deb = DebBuilder::new("aa", "1.0-1", "amd64").file("usr/share/aa", b"", 0o644);
    place.package("aa.deb", &deb.build());
    place.image("demo", "schema = 1\nformat = \"deb\"\npackages = [\"aa\"]\nos-release.VERSION_ID = \"13\"\n");
    assert!(!compose(&place, "demo").err.contains("warning"));
    let made = texts(&place);
    assert_eq!(made["usr/lib/os-release"], "NAME=demo\nID=demo\nPRETTY_NAME=demo\nVERSION_ID=13\n");
    assert!(!made.contains_key("etc/alpine-release"));
}

#[test]
fn the_database_stands_where_the_packages_apk_looks() {
    let base = || ApkBuilder::new("base", "1.0-r0", "x86_64");
    for (target, at) in [(None, "lib"), (Some("usr/lib"), "usr/lib"), (Some("/usr/lib"), "usr/lib")] {
        let base = match target {
            Some(target) => base().directory("usr/lib", 0o755).symlink("lib", target),
            None => base().directory("lib", 0o755),
        };
        let aa = ApkBuilder::new("aa", "1.0-r0", "x86_64").file("lib/aa/data", b"aa\n", 0o644);
        let more = "architectures = [\"amd64\"]\nos-release.VERSION_ID = \"3.20.0\"";
        let place = stage(&[base, aa], "\"base\", \"aa\"", more);
        let from = [place.packages()];
        let set = images::Set::compose(place, &["demo"], &from, &[]);
        let tree = flatten(&set, set.image("demo"), "amd64");
        let found: Vec<&str> =
            tree.keys().filter_map(|path| path.strip_suffix("/apk/db/installed")).map(|path| &path[1..]).collect();
        assert_eq!(found, [at], "{target:?}");
        let link = target.map(|target| Kind::Link(target.to_owned()));
        assert_eq!(Some(&tree["/lib"].kind).filter(|kind| **kind != Kind::Directory), link.as_ref());
        // Outside of the image, an absolute link leads apk to the host's own /usr/lib.
        if target.is_some_and(|target| target.starts_with('/')) {
            continue;
        }
        let (Some(apk), Some(())) = (apk_tool(), superuser()) else { continue };
        let directory = lifetime::temporary();
        let root = directory.path().join("root");
        roots::unpack(&set, "demo", ARCHITECTURES[1], &root);
        let mut command = Command::new(apk);
        command.args(["info", "--no-network", "--root"]).arg(&root).arg("--keys-dir").arg(&root);
        let mut listed: Vec<String> = succeed(&mut command).lines().map(str::to_owned).collect();
        listed.sort_unstable();
        assert_eq!(listed, ["aa", "base"], "{target:?}");
    }
}

#[test]
fn the_flavors_have_the_empty_directories_of_a_system_and_no_device() {
    let Some(set) = images::alpine(program!()) else { return };
    for reference in ALPINE {
        for arch in ARCHITECTURES {
            let tree = flatten(set, set.image(reference), arch.oci);
            for (path, mode) in [("/dev", 0o755), ("/proc", 0o555), ("/run", 0o755), ("/sys", 0o755), ("/var", 0o755)] {
                let at = format!("{reference} on {}: {path}", arch.oci);
                let item = tree.get(path).unwrap_or_else(|| panic!("{at} is missing"));
                assert_eq!((&item.kind, item.mode, item.uid, item.gid), (&Kind::Directory, mode, 0, 0), "{at}");
                assert!(!tree.keys().any(|other| other.starts_with(&format!("{path}/"))), "{at}: not empty");
            }
            assert!(!tree.values().any(|item| matches!(item.kind, Kind::Other(_))), "{reference} on {}", arch.oci);
        }
    }
}

/// The modes are those of Alpine's own package, and it unites with them.
#[test]
fn alpine_baselayout_comes_on_top_of_the_flavors() {
    let Some(place) = furnished() else { return };
    for flavor in ALPINE {
        let waive = "waive = [\"alpine-baselayout -> *: for its scripts, which never run\"]";
        let packages = "packages = [\"alpine-baselayout\", \"alpine-release\"]";
        place.image("demo", &format!("schema = 1\nextends = \"{flavor}\"\n{packages}\n{waive}\n"));
        compose(&place, "demo");
        let made = Layout(place.project().join("out")).files("made", "amd64");
        assert_eq!(made["proc"].0.mode().unwrap() & 0o7777, 0o555, "{flavor}");
        assert!(made.contains_key("var/empty"), "{flavor}");
    }
}
