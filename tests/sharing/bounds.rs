//! Many packages: few files open, little memory, little lost.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use dlstore_formats::archive::decompress::Compression;
use dlstore_formats::package::fixture::DebBuilder;

use dlstore_kit::{Place, finish, finish_measured, place, program};

fn tiny(place: &Place, number: usize) {
    let name = format!("tiny{number:05}");
    let deb = DebBuilder::new(&name, "1.0-1", "amd64").compression(Compression::None);
    let deb = deb.file(&format!("usr/share/tiny/{name}"), name.as_bytes(), 0o644);
    place.package(&format!("{name}.deb"), &deb.build());
}

#[test]
fn an_image_of_1100_packages_needs_few_open_files_and_little_memory() {
    let place = place!();
    let mut list = String::new();
    for number in 0..1_100 {
        tiny(&place, number);
        write!(list, "\"tiny{number:05}\",").unwrap();
    }
    place.image("many", &format!("schema = 1\nextends = \"static\"\nformat = \"deb\"\npackages = [{list}]\n"));
    let (done, most) = finish_measured(place.command(["add", "-q", "../packages"]));
    done.ok();
    assert!(most < 200 << 20, "{} MiB", most >> 20);
    let limited = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\"", program!()]).args(arguments);
        command.current_dir(place.project()).env("DLSTORE_ROOT", place.store());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command).ok().out
    };
    let compose = ["compose", "many", "--arch", "amd64", "--from", "store"];
    let from_store = limited(&compose);
    let other = place.path().join("other").to_str().unwrap().to_owned();
    let afresh = ["compose", "many", "--arch", "amd64", "--from", "../packages", "--store", &other, "-o", "oci:afresh"];
    assert_eq!(limited(&afresh), from_store, "also when everything is added on the way");
    limited(&["compose", "many", "--arch", "amd64", "--from", "store", "--compression", "zstd", "-o", "oci:zstd"]);
    limited(&["compose", "many", "--arch", "amd64", "--from", "store", "--layers", "flat", "-o", "oci:flat"]);
}

#[test]
fn a_killed_add_of_many_small_packages_loses_the_batch_in_hand_and_no_more() {
    let place = place!();
    for number in 0..1_050 {
        tiny(&place, number);
    }
    let mut command = place.command(["add", "-q", "../packages"]);
    command.env("DLSTORE_TEST_STOP", "publish.begun:2");
    let killed = finish(command);
    assert_eq!(killed.signal(), Some(6), "{killed:?}");
    assert_eq!(place.json(&["list"])["packages"].as_array().unwrap().len(), 1_000);
    let rest = place.run(["add", "../packages"]).ok();
    assert!(rest.err.contains("added 50 packages") && rest.err.contains("1000 known"), "{}", rest.err);
}
