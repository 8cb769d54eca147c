//! Where definitions are found, and what they cannot reach.

use super::*;

const EMPTY: &str = "schema = 1\n";

#[test]
fn the_project_comes_first_also_from_a_directory_within() {
    let directory = project(&[
        ("images/static/image.toml", "schema = 1\ndescription = \"ours\"\n"),
        ("images/file.toml", EMPTY),
        ("images/broken.toml", "schema = 2\n"),
        ("images/Not An Image.toml", EMPTY),
        ("src/deep/x", ""),
    ]);
    let below = directory.path().join("src/deep");
    assert_eq!(load(&below, "static").unwrap().description.as_deref(), Some("ours"));
    assert_eq!(load(&below, "file").unwrap().name, "file");
    assert_eq!(load(&below, "musl-dynamic").unwrap().flavor, "debian");
    let known: Vec<_> = known(&below).into_iter().map(|(name, flavors)| (name, flavors.len())).collect();
    let list = [("broken", 0), ("file", 1), ("glibc-dynamic", 2), ("musl-dynamic", 2), ("static", 1)];
    assert_eq!(known, list.map(|(name, flavors)| (name.to_owned(), flavors)));
}

#[test]
fn a_path_works_anywhere_and_names_the_image() {
    let directory = project(&[
        ("elsewhere/app/image.toml", "schema = 1\n[flavors.a]\n[flavors.b]\n"),
        ("elsewhere/other.toml", "schema = 1\nextends = \"./app/image.toml:b\"\n"),
    ]);
    for (reference, name, flavor) in [
        ("elsewhere/app", "app", "a"),
        ("./elsewhere/app/:b", "app", "b"),
        ("elsewhere/app/image.toml:b", "app", "b"),
        ("elsewhere/other.toml", "other", "default"),
    ] {
        let image = load(directory.path(), reference).unwrap();
        assert_eq!((image.name.as_str(), image.flavor.as_str()), (name, flavor), "{reference}");
    }
    let image = load(&directory.path().join("elsewhere"), "other.toml").unwrap();
    assert_eq!(image.levels[0].name, "app:b");
}

#[test]
fn a_definition_named_with_dots_reaches_its_own_files_from_anywhere() {
    let app = "schema = 1\nextends = \"./base.toml\"\nfiles.\"/a\" = { source = \"a.txt\" }\n";
    let directory = project(&[
        ("lib/app.toml", app),
        ("lib/base.toml", EMPTY),
        ("lib/a.txt", "its own"),
        ("lib/deep/x", ""),
        ("none/x", ""),
        ("project/images/other.toml", EMPTY),
        ("project/src/x", ""),
    ]);
    let lib = directory.path().canonicalize().unwrap().join("lib");
    std::os::unix::fs::symlink(lib.join("deep"), directory.path().join("none/link")).unwrap();
    for (from, reference) in [
        ("none", "../lib/app.toml"),
        ("none", "../none/.././lib/app.toml"),
        ("project", "../lib/app.toml"),
        ("project/src", "../../lib/app.toml"),
        // Where the link leads, and not where it stands.
        ("none", "link/../app.toml"),
        ("lib/deep", "../app.toml"),
    ] {
        let image = load(&directory.path().join(from), reference).unwrap();
        let level = image.levels.last().unwrap();
        assert_eq!(level.root.as_ref(), Some(&lib), "{reference} from {from}");
        let found = host_path(&lib, level.files[0].source.as_ref().unwrap(), Arch::Amd64).unwrap();
        assert_eq!(found, lib.join("a.txt"), "{reference} from {from}");
    }
    let error = load(&directory.path().join("none"), "../nowhere/../lib/app.toml").unwrap_err();
    assert!(matches!(error, DefinitionError::Io { .. }), "{error}");
}

#[test]
fn a_project_named_with_dots_is_the_one_that_is_found_without_them() {
    let directory = project(&[("images/app/image.toml", EMPTY), ("src/x", "")]);
    let below = directory.path().canonicalize().unwrap().join("src");
    let said = |project| load(Here { current: &below, project }, "app").unwrap();
    let dots = below.join("..");
    assert_eq!(said(Some(&dots)), said(None));
    assert_eq!(load(&below, "../images/app").unwrap(), said(None));
}

#[test]
fn a_chain_of_eight_steps_is_read_and_nine_are_not() {
    let mut files: Vec<(String, String)> = vec![("images/i9.toml".into(), EMPTY.into())];
    for at in 0..9 {
        files.push((format!("images/i{at}.toml"), format!("schema = 1\nextends = \"i{}\"\n", at + 1)));
    }
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let directory = project(&files);
    assert_eq!(load(directory.path(), "i1").unwrap().levels.len(), 9);
    let error = said(&load(directory.path(), "i0").unwrap_err());
    let chain = (0..10).map(|at| format!("i{at}")).collect::<Vec<_>>().join(" -> ");
    let drawn = "images/i8.toml:2:11: cannot extend `i9`\n  |\n2 | extends = \"i9\"\n  |           ^^^^";
    assert_eq!(error, format!("{drawn}\ncause: more than 8 definitions extend each other: {chain}"));
}

#[test]
fn a_file_that_is_too_large_or_not_text_is_refused() {
    let directory = project(&[("a.toml", &"#".repeat((1 << 20) + 1)), ("b.toml", "schema = 1\n")]);
    std::fs::write(directory.path().join("c.toml"), b"schema = 1 # \xff").unwrap();
    assert!(matches!(load(directory.path(), "a.toml"), Err(DefinitionError::Large { .. })));
    assert!(load(directory.path(), "b.toml").is_ok());
    assert!(matches!(load(directory.path(), "c.toml"), Err(DefinitionError::Io { .. })));
}

#[test]
fn nothing_outside_the_project_is_reached() {
    let outside = project(&[("secret.toml", EMPTY), ("data", "x")]);
    let directory = project(&[
        ("images/a.toml", "schema = 1\nextends = \"../../x.toml\"\n"),
        ("images/b.toml", "schema = 1\nextends = \"./link.toml\"\n"),
        ("images/c.toml", "schema = 1\nfiles.\"/x\" = { source = \"{arch}\" }\n"),
        ("images/amd64", "fine"),
    ]);
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(outside.path().join(to), directory.path().join(from)).unwrap();
    };
    link("images/link.toml", "secret.toml");
    link("images/named.toml", "secret.toml");
    link("images/arm64", "data");
    for reference in ["a", "b"] {
        let error = load(directory.path(), reference).unwrap_err();
        assert!(
            matches!(&error, DefinitionError::Extends { source, .. } if matches!(**source, DefinitionError::Path { .. })),
            "{error}"
        );
    }
    assert!(matches!(load(directory.path(), "named"), Err(DefinitionError::Path { .. })));
    let image = load(directory.path(), "c").unwrap();
    let (root, source) = (image.levels[0].root.clone().unwrap(), image.levels[0].files[0].source.clone().unwrap());
    assert_eq!(std::fs::read(host_path(&root, &source, Arch::Amd64).unwrap()).unwrap(), b"fine");
    assert!(matches!(host_path(&root, &source, Arch::Arm64), Err(DefinitionError::Path { .. })));
    assert!(matches!(host_path(&root, &source, Arch::S390x), Err(DefinitionError::Io { .. })));
}

#[test]
fn an_own_passwd_may_know_more_users() {
    let text = "user = \"app\"\nfiles.\"/etc/passwd\" = { content = \"app:x:1:1::/:/x\\n\" }\n";
    assert_eq!(paths(&load_text("app", text).unwrap()), ["/etc/passwd"]);
    assert!(load_text("app", "format = \"apk\"\npackages = [\"a\"]\nuser = \"guest\"\n").is_ok());
    assert!(load_text("app", "user = \"guest\"\n").is_err());
}
