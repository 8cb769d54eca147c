//! Roots and collections by hand.

use serde_json::json;

use dlstore_kit::{Layout, Place, packages, place};

#[test]
fn roots_are_added_listed_and_removed() {
    let place = place!();
    let deb = place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.ok(["add".as_ref(), deb.as_os_str()]);
    let root = place.root("package/deb/one/1.1-1/amd64/");
    assert_eq!(place.ok(["store", "roots", "list"]), format!("{root}\n"));
    place.ok(["store", "roots", "add", "mine/one", "one"]);
    place.ok(["store", "roots", "add", "mine/copy", "mine/one"]);
    assert_eq!(place.ok(["store", "roots", "list"]), format!("mine/copy\nmine/one\n{root}\n"));
    assert!(place.run(["store", "roots", "add", "mine/none", "absent"]).error().contains("absent"));
    for name in ["", "/", "../x", "a//b", "a\nb", "a/../b"] {
        let done = place.run(["store", "roots", "add", name, "one"]);
        assert_ne!(done.code(), Some(0), "{name:?}");
    }
    place.ok(["store", "roots", "remove", &root, "mine/one"]);
    assert!(place.run(["store", "roots", "remove", "mine/one"]).error().contains("mine/one"));
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(place.json(&["list"])["packages"].as_array().unwrap().len(), 1, "mine/copy keeps it");
    place.ok(["store", "roots", "remove", "mine/copy"]);
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(place.json(&["list"])["packages"], json!([]));
    assert!(place.left().is_empty());
}

#[test]
fn a_dry_run_says_what_a_collection_then_does() {
    let place = place!();
    place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    place.package("two.deb", &packages::deb("two", 2, "amd64").build());
    place.ok(["add", "../packages"]);
    place.ok(["store", "roots", "remove", &place.root("package/deb/one/")]);
    std::fs::write(place.store().join("packs").join("0".repeat(64)), b"orphan").unwrap();
    let before = dlstore_kit::snapshot(&place.store().join("packs"));
    let young = place.json(&["store", "gc", "--dry-run"]);
    assert_eq!(young["objects"], json!([]), "an hour of grace");
    let plan = place.json(&["store", "gc", "--dry-run", "--grace", "0"]);
    assert_eq!(dlstore_kit::snapshot(&place.store().join("packs")), before);
    assert_eq!(plan["orphans"].as_array().unwrap().len(), 1);
    let doomed = plan["objects"].as_array().unwrap().len();
    assert!(doomed >= 4, "source, package, trees, pack: {plan}");
    let lines = place.ok(["store", "gc", "--dry-run", "--grace", "0"]);
    assert_eq!(lines.lines().count(), doomed + 1);
    let report = place.json(&["store", "gc", "--grace", "0"]);
    assert_eq!(report["objects"], doomed);
    // The plan counts rows too, the report what the file system got back.
    assert!(report["freed_size"].as_u64().unwrap() <= plan["freed_size"].as_u64().unwrap());
    let empty = place.json(&["store", "gc", "--dry-run", "--grace", "0"]);
    assert_eq!((&empty["objects"], &empty["orphans"]), (&json!([]), &json!([])));
    assert_eq!(place.verified(), (vec![], vec![]));
}

#[test]
fn an_image_with_other_words_of_the_command_line_takes_the_root_and_outputs_of_the_one_before_stay_whole() {
    let place = place!();
    place.project_file("images/app/data", &[7; 9_000]);
    place.image("app", "schema = 1\nextends = \"static\"\nfiles.\"/data\" = { source = \"data\" }\n");
    let compose = |said: [&str; 2], output: &str| {
        let command = ["compose", "app", "--arch", "amd64", said[0], said[1], "-o", output];
        place.json(&command)["images"][0].clone()
    };
    let first = compose(["-e", "A=1"], "oci:one");
    let roots = |place: &Place| {
        let all = place.ok(["store", "roots", "list"]);
        all.lines().filter(|name| name.starts_with("image/app/")).map(str::to_owned).collect::<Vec<_>>()
    };
    let root = roots(&place);
    for (said, output) in [(["-e", "A=2"], "oci:two"), (["--label", "a=b"], "oci:three"), (["-t", "x:y"], "oci:four")] {
        compose(said, output);
        assert_eq!(roots(&place), root, "{said:?} has the root of the image");
    }
    place.ok(["store", "gc", "--grace", "0"]);
    assert_eq!(place.verified(), (vec![], vec![]));
    for output in ["one", "two", "three", "four"] {
        let layout = Layout(place.project().join(output));
        let tag = if output == "four" { "y" } else { "latest" };
        assert!(layout.files(tag, "amd64").contains_key("data"), "{output}");
    }
    let again = compose(["-e", "A=1"], "oci:again");
    assert_eq!(again["digest"], first["digest"]);
    assert_eq!((&again["layers"]["made"], &again["layers"]["reused"]), (&json!(0), &json!(2)));
}

#[test]
fn sources_can_be_dropped_and_never_kept() {
    let place = place!();
    let deb = place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    let deb = deb.to_str().unwrap();
    place.ok(["add", deb]);
    place.ok(["store", "gc", "--grace", "0", "--drop-sources"]);
    assert_eq!(dlstore_kit::names(&place.store().join("sources")), Vec::<String>::new());
    assert_eq!(place.verified(), (vec![], vec![]));
    place.ok(["add", deb]);
    assert_eq!(dlstore_kit::names(&place.store().join("sources")).len(), 1, "adding again keeps it again");

    let other = place!();
    other.ok(["add", "--no-keep-sources", deb]);
    assert_eq!(dlstore_kit::names(&other.store().join("sources")), Vec::<String>::new());
    assert_eq!(other.verified(), (vec![], vec![]));
}
