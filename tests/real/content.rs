//! What is in the images: sizes, certificates, sums, modes, origins.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::process::Command;

use dlstore_kit::images::{ALPINE, ARCHITECTURES, DEBIAN, sets};
use dlstore_kit::inputs::superuser;
use dlstore_kit::layers::{self, Item, Kind, absolute, flatten};
use dlstore_kit::{images, program, roots, sha256, succeed};

#[test]
fn every_image_composes_for_eight_architectures() {
    for (set, references) in [(images::debian(program!()), &DEBIAN[..]), (images::alpine(program!()), &ALPINE)] {
        let Some(set) = set else { continue };
        for reference in references {
            let made: Vec<&str> =
                set.image(reference).platforms.iter().map(|platform| platform.architecture.as_str()).collect();
            assert_eq!(made, ARCHITECTURES.map(|arch| arch.oci), "{reference}");
        }
    }
}

#[test]
fn layers_are_few_and_small() {
    let Some(set) = images::debian(program!()) else { return };
    // Bytes are those of amd64.
    let limits = [
        ("static", 1, 480_000),
        ("static:debian", 2, 480_000),
        ("musl-dynamic", 3, 720_000),
        ("glibc-dynamic", 4, 4_200_000),
        ("glibc-dynamic:nonroot", 4, 4_200_000),
    ];
    for (reference, count, size) in limits {
        for platform in &set.image(reference).platforms {
            assert!(platform.layers.len() <= count, "{reference} on {} has more than {count}", platform.architecture);
        }
        let sum: u64 = set.image(reference).platform("amd64").layers.iter().map(|layer| layer.size).sum();
        println!("{reference}: {sum} bytes");
        assert!(sum <= size, "{reference}: {sum} bytes");
    }
    let Some(set) = images::alpine(program!()) else { return };
    for (reference, count) in [("static:alpine", 2), ("musl-dynamic:alpine", 3)] {
        assert!(set.image(reference).platforms.iter().all(|platform| platform.layers.len() <= count), "{reference}");
    }
}

#[test]
fn the_bundle_is_what_update_ca_certificates_makes() {
    let Some(set) = images::debian(program!()) else { return };
    let real = set.from.iter().flat_map(|directory| fs::read_dir(directory).unwrap()).any(|file| {
        file.unwrap().file_name().to_str().is_some_and(|name| name.starts_with("ca-certificates_20250419"))
    });
    if !real || superuser().is_none() {
        println!("skipped: the sum is known for ca-certificates 20250419");
        return;
    }
    for reference in ["static:debian", "musl-dynamic", "glibc-dynamic"] {
        let root = roots::of(set, reference, ARCHITECTURES[1]);
        let bundle = fs::read(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
        let sum = "714d457d580922dbf1d0be8bd35ba236a842b50b0072ae791582a19adef772a5";
        assert_eq!(sha256(&bundle), sum, "{reference}");
        assert_eq!(String::from_utf8(bundle).unwrap().matches("-----BEGIN CERTIFICATE-----").count(), 150);
    }
    // And it is the same file everywhere.
    let bundles: BTreeSet<String> = ["static:debian", "static:debug", "musl-dynamic", "glibc-dynamic"]
        .iter()
        .flat_map(|reference| ARCHITECTURES.map(|arch| (reference, arch)))
        .map(|(reference, arch)| {
            format!("{:?}", flatten(set, set.image(reference), arch.oci)["/etc/ssl/certs/ca-certificates.crt"])
        })
        .collect();
    assert_eq!(bundles.len(), 1, "{bundles:?}");
}

#[test]
fn the_files_have_the_sums_that_the_package_database_says() {
    let (Some(set), Some(())) = (images::debian(program!()), superuser()) else { return };
    let mut checked = 0;
    for reference in &DEBIAN[1..] {
        for arch in ARCHITECTURES {
            let root = roots::of(set, reference, arch);
            for file in fs::read_dir(root.join("var/lib/dpkg/status.d")).unwrap() {
                let file = file.unwrap().path();
                if file.extension().is_none_or(|extension| extension != "md5sums") {
                    continue;
                }
                // It fails when not one file of the list is there, which is said so of a package
                // that only has a copyright left; none does.
                let sums = File::open(&file).unwrap();
                let mut command = Command::new("md5sum");
                succeed(command.args(["-c", "--ignore-missing", "--strict", "--quiet"]).current_dir(&root).stdin(sums));
                checked += 1;
            }
        }
    }
    println!("{checked} lists of sums");
    assert!(checked >= 5 * 8 * 6);
}

#[test]
fn no_file_gives_rights_to_who_runs_it() {
    for set in sets(program!()) {
        for image in &set.images {
            for arch in ARCHITECTURES {
                for (path, item) in flatten(set, image, arch.oci) {
                    let at = format!("{} on {}: {path} {item:?}", image.reference, arch.oci);
                    let Item { kind, mode, extra, .. } = &item;
                    assert!(
                        matches!(kind, Kind::Directory | Kind::File { .. } | Kind::Link(_) | Kind::HardLink(_)),
                        "{at}"
                    );
                    assert_eq!(extra.len(), 0, "{at}");
                    if !matches!(kind, Kind::Link(_)) {
                        let set_ids = if *kind == Kind::Directory { 0o4000 } else { 0o6000 };
                        assert_eq!(mode & set_ids, 0, "{at}");
                        assert!(mode & 0o002 == 0 || mode & 0o1000 != 0, "{at}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_path_has_an_origin_and_every_listed_path_is_there() {
    for set in sets(program!()) {
        for image in &set.images {
            let mut command = set.place.command(["files", "--json", "--arch", "all", &image.reference, "--from"]);
            let value: serde_json::Value = serde_json::from_str(&succeed(command.args(&set.from))).unwrap();
            let listings = value["listings"].as_array().unwrap();
            assert_eq!(listings.len(), 8);
            for (arch, listing) in ARCHITECTURES.iter().zip(listings) {
                let at = format!("{} on {}", image.reference, arch.oci);
                let text = |file: &serde_json::Value, field: &str| file[field].as_str().unwrap_or_default().to_owned();
                let mut listed = layers::Tree::new();
                for file in listing["files"].as_array().unwrap() {
                    let origin = text(file, "origin");
                    let kind = origin.split(':').next().unwrap();
                    assert!(["deb", "apk", "fixup", "definition", "embedded"].contains(&kind), "{at}: {file}");
                    listed.insert(text(file, "path"), listed_item(file));
                }
                layers::assert_same(&listed, &flatten(set, image, arch.oci), &at);
            }
        }
    }
}

/// What `files --json` says of a path, but for its origin.
pub(crate) fn listed_item(file: &serde_json::Value) -> Item {
    let number = |field: &str| file[field].as_u64().unwrap();
    let text = |field: &str| file[field].as_str().unwrap().to_owned();
    let kind = match file["type"].as_str().unwrap() {
        "directory" => Kind::Directory,
        "file" => Kind::File { size: number("size"), blake3: text("blake3") },
        "symlink" => Kind::Link(text("target")),
        "hard link" => Kind::HardLink(absolute(&text("target"))),
        other => panic!("{other}"),
    };
    let mode = u32::from_str_radix(&text("mode"), 8).unwrap();
    Item { kind, mode, uid: number("uid"), gid: number("gid"), mtime: number("mtime"), extra: BTreeMap::new() }
}

#[test]
fn what_is_known_is_reused() {
    for set in sets(program!()) {
        let references: Vec<&str> = set.images.iter().map(|image| image.reference.as_str()).collect();
        for from in [&set.from[..], &["store".into()]] {
            let mut command = set.place.command(["compose", "--json", "--arch", "all", "-o"]);
            command.arg(format!("oci:{}", set.layout.path().display())).args(&references).arg("--from").args(from);
            let value: serde_json::Value = serde_json::from_str(&succeed(&mut command)).unwrap();
            for image in value["images"].as_array().unwrap() {
                assert_eq!(image["layers"]["made"], 0, "{image}");
                assert_eq!(image["digest"], set.image(image["reference"].as_str().unwrap()).digest);
            }
            let mut command = set.place.command(["compose", "--arch", "all", "-o"]);
            command.arg(format!("oci:{}", set.layout.path().display())).args(&references).arg("--from").args(from);
            let output = command.output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let is_of_one = |line: &&str| line.starts_with("composed ") && line.contains(" architecture");
            let lines = said.lines().filter(is_of_one);
            assert_eq!(lines.clone().count(), references.len(), "{said}");
            for line in lines {
                assert!(line.contains("no packages") || line.contains(" cached, 0 added"), "{line}");
                assert!(line.contains(" reused, 0 made"), "{line}");
            }
        }
    }
}
