//! A restored store, with other inodes and times, is hashed once.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;

use crate::template::{copy, index};
use dlstore_kit::{Place, names, packages, place};

const ARCHITECTURES: [&str; 8] = ["amd64", "arm64", "armhf", "armel", "i386", "ppc64el", "riscv64", "s390x"];

fn label(place: &Place, text: &str) {
    let definition =
        format!("schema = 1\nformat = \"deb\"\npackages = [\"large\"]\n[labels]\n\"org.example.x\" = \"{text}\"\n");
    place.image("demo", &definition);
}

/// Composes all architectures; gives what was printed and how many bytes the program read.
fn composed(place: &Place) -> (String, u64) {
    let mut command = place.command(["compose", "demo", "--arch", "all", "--from", "store", "-o", "oci:out"]);
    let said = |name: &str| fs::File::create(place.path().join(name)).unwrap();
    let mut child = command.stdout(said("out")).stderr(said("err")).spawn().unwrap();
    let process = Path::new("/proc").join(child.id().to_string());
    // Until it is waited for, an ended process can still be asked what it read.
    loop {
        let stat = fs::read_to_string(process.join("stat")).unwrap();
        if stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z') {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let io = fs::read_to_string(process.join("io")).unwrap();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap();
    let text = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    assert!(child.wait().unwrap().success(), "{}", text("err"));
    (text("out"), read)
}

#[test]
fn a_restored_store_is_hashed_once() {
    let made = place!();
    for (seed, arch) in (0u64..).zip(ARCHITECTURES) {
        let data = packages::text(seed + 1, 1_000_000);
        let deb = DebBuilder::new("large", "1-1", arch).compression(Compression::None);
        made.package(&format!("{arch}.deb"), &deb.file("usr/lib/large/data", &data, 0o644).build());
    }
    label(&made, "before");
    made.ok(["add", "../packages"]);
    composed(&made);

    let place = place!();
    copy(&made.store(), &place.store());
    let packs = place.store().join("packs");

    // A new label each time: nothing but the bytes of the layers is remembered of the image.
    label(&place, "one");
    let (_, first) = composed(&place);
    label(&place, "two");
    let (line, second) = composed(&place);
    label(&made, "two");
    assert_eq!(line, composed(&made).0);
    let layers: Vec<String> =
        names(&place.project().join("out/blobs/sha256")).into_iter().filter(|name| packs.join(name).exists()).collect();
    let size: u64 = layers.iter().map(|name| fs::metadata(packs.join(name)).unwrap().len()).sum();
    println!("{size} bytes of layers: {first} read, then {second}");
    assert!(size > 3_000_000 && first > size, "hashed once: {first} bytes of {size}");
    assert!(second < size / 4, "and not again: {second} bytes of {size}");

    let index = index(&place.store());
    let sql = "SELECT inode, mtime_ns FROM file WHERE directory = 1 AND lower(hex(sha256)) = ?1";
    for name in layers {
        let row: (i64, i64) = index.query_row(sql, [&name], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let meta = fs::metadata(packs.join(&name)).unwrap();
        let found = (meta.ino().cast_signed(), meta.mtime() * 1_000_000_000 + meta.mtime_nsec());
        assert_eq!(row, found, "{name} is recorded as it lies there now");
    }
}
