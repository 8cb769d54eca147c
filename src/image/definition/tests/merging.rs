//! Flavors over bases, definitions over what they extend.

use super::*;

const FLAVORS: &str = r#"
    description = "base"
    format = "deb"
    packages = ["a", "b"]
    keep = ["/k1"]
    exclude = ["/e1", "!/e2"]
    slim = false
    tags = ["latest"]
    entrypoint = ["/a"]
    cmd = ["one"]
    env = { A = "1", B = "1" }
    files."/f" = { content = "base" }
    ports = ["80", "443/tcp"]
    [flavors.zeta]
    [flavors.alpha]
    description = "alpha"
    packages = ["c", "a=2"]
    keep = ["/k2"]
    exclude = ["/e3"]
    slim = true
    tags = ["own"]
    entrypoint = ["/b"]
    env = { B = "2", C = "2" }
    files."/f" = { content = "alpha" }
    ports = ["80/tcp", "81/udp"]
    [flavors.beta]
    extends = ":alpha"
    packages = ["d"]
    env = { B = "3" }
"#;

#[test]
fn the_first_flavor_of_the_file_is_the_default_and_the_base_is_below() {
    let image = load_text("app", FLAVORS).unwrap();
    assert_eq!((image.flavor.as_str(), image.is_default_flavor), ("zeta", true));
    assert_eq!(image.levels[0].name, "app:zeta");
    assert_eq!(names(&image.levels[0].packages), ["a", "b"]);
    assert_eq!(image.tags, ["latest"]);
    assert_eq!(image.annotations["org.opencontainers.image.description"], "base");
    assert_eq!(image.config.exposed_ports, ["80/tcp", "443/tcp"]);
}

#[test]
fn a_flavor_overrides_values_appends_to_lists_and_wins_in_tables() {
    let image = load_text("app:alpha", FLAVORS).unwrap();
    let level = &image.levels[0];
    assert_eq!(names(&level.packages), ["a", "b", "c"]);
    assert_eq!(level.packages[0].version.as_deref(), Some("2"), "a flavor pins");
    let rules: Vec<_> = level.selection.iter().map(|(keeps, pattern)| (*keeps, pattern.as_str())).collect();
    assert_eq!(rules, [(true, "/k1"), (true, "/k2"), (false, "/e1"), (true, "/e2"), (false, "/e3")]);
    assert!(level.slim);
    assert_eq!(image.description.as_deref(), Some("alpha"));
    assert_eq!(image.tags, ["latest-alpha", "own"]);
    assert_eq!((image.config.entrypoint.join(" "), image.config.cmd.len()), ("/b".into(), 0));
    assert_eq!(image.config.env.values().map(String::as_str).collect::<Vec<_>>(), ["1", "2", "2"]);
    assert_eq!(level.files.len(), 1);
    assert_eq!(level.files[0].content.as_deref(), Some("alpha"));
    assert_eq!(image.config.exposed_ports, ["80/tcp", "443/tcp", "81/udp"]);
}

#[test]
fn a_flavor_on_a_flavor_brings_only_its_own_words() {
    let image = load_text("app:beta", FLAVORS).unwrap();
    assert_eq!(image.levels.len(), 2);
    assert_eq!(names(&image.levels[0].packages), ["a", "b", "c"]);
    assert_eq!((image.levels[1].name.as_str(), names(&image.levels[1].packages)), ("app:beta", vec!["d"]));
    assert_eq!(image.config.env.values().map(String::as_str).collect::<Vec<_>>(), ["1", "3", "2"]);
    assert_eq!(image.description.as_deref(), Some("base"));
    assert_eq!(image.tags, ["latest-beta"]);
}

#[test]
fn configuration_comes_down_and_content_stays_where_it_was_said() {
    let directory = project(&[
        (
            "images/below/image.toml",
            r#"
            schema = 1
            description = "below"
            repository = "example.org/below"
            architectures = ["amd64", "arm64"]
            format = "apk"
            packages = ["a"]
            compression = "zstd"
            layers = "flat"
            tags = ["x"]
            user = "nonroot"
            workdir = "/w"
            entrypoint = ["/e"]
            cmd = ["c"]
            stop-signal = "SIGINT"
            volumes = ["/v"]
            labels = { a = "1", b = "1" }
            annotations = { "org.opencontainers.image.licenses" = "MIT", "x" = "1" }
            "#,
        ),
        (
            "images/above.toml",
            "schema = 1\nextends = \"below\"\narchitectures = [\"arm64\"]\ncmd = [\"d\"]\nlabels.b = \"2\"\nvolumes = [\"/v\", \"/w\"]\n",
        ),
    ]);
    let image = load(directory.path(), "above").unwrap();
    let expected = Config {
        user: Some("nonroot".into()),
        workdir: Some("/w".into()),
        entrypoint: vec!["/e".into()],
        cmd: vec!["d".into()],
        stop_signal: Some("SIGINT".into()),
        labels: [("a".into(), "1".into()), ("b".into(), "2".into())].into(),
        volumes: vec!["/v".into(), "/w".into()],
        ..Config::default()
    };
    assert_eq!(image.config, expected);
    assert_eq!((image.layers, image.compression), (Layering::Flat, Compression::Zstd));
    assert_eq!((image.architectures, image.format), (vec![Arch::Arm64], Some(Format::Apk)));
    assert_eq!((image.description, image.repository, image.tags), (None, None, vec![]));
    let annotations = [("org.opencontainers.image.title", "above"), ("x", "1")];
    assert_eq!(image.annotations, annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(image.levels.iter().map(|level| level.name.as_str()).collect::<Vec<_>>(), ["below", "above"]);
    assert!(image.levels[1].packages.is_empty());
}

#[test]
fn everything_that_can_be_said_arrives() {
    let text = r#"
        format = "deb"
        packages = ["libc6=2.41-12"]
        arch."arm/v6".packages = ["libatomic1"]
        files."/usr/bin/app" = { source = "../build/{arch}/app", mode = "0755", owner = "app:staff" }
        files."/var/lib/app/" = { owner = "1000:1000", mode = "1777" }
        files."/etc/app/" = { source = "config/" }
        links."/app" = "usr/bin/app"
        certificates = ["certs/root.pem"]
        accounts = [{ name = "app", uid = 1000 }]
        waive = ["libc6 -> libgcc-s1: named"]
        skip = ["nsswitch"]
        overrides = ["/etc/*"]
        privileged = ["/usr/bin/ping"]
        os-release.ID = "acme"
        embedded = true
        user = "app"
    "#;
    let directory = project(&[("images/app/image.toml", &format!("schema = 1\n{text}"))]);
    let image = load(directory.path(), "app").unwrap();
    let path = |text: &str| TreePath::new(text.as_bytes()).unwrap();
    let here = |text: &str| directory.path().join(text).to_str().unwrap().to_owned();
    let file = |at: &str, source: Option<&str>, is_directory, mode, owner: Option<&str>| FileSpec {
        path: path(at),
        source: source.map(here),
        content: None,
        is_directory,
        mode,
        owner: owner.map(str::to_owned),
    };
    let requirement = |name: &str, version: Option<&str>, number| PackageRequirement {
        name: name.into(),
        version: version.map(Into::into),
        sha256: None,
        line: Some(Line { file: "images/app/image.toml".into(), number }),
    };
    let expected = Level {
        name: "app".into(),
        root: Some(directory.path().to_owned()),
        embedded: true,
        packages: vec![requirement("libc6", Some("2.41-12"), 4)],
        arch_packages: [(Arch::ArmV6, vec![requirement("libatomic1", None, 5)])].into(),
        files: vec![
            file("usr/bin/app", Some("images/build/{arch}/app"), false, Some(0o755), Some("app:staff")),
            file("var/lib/app", None, true, Some(0o1777), Some("1000:1000")),
            file("etc/app", Some("images/app/config"), true, None, None),
        ],
        links: vec![(path("app"), "usr/bin/app".into())],
        certificates: vec![CertificateSpec {
            path: here("images/app/certs/root.pem").into(),
            written: "certs/root.pem".into(),
        }],
        selection: vec![],
        slim: true,
        waivers: vec![Waiver { from: "libc6".into(), to: "libgcc-s1".into(), reason: "named".into() }],
        certificates_from: None,
        accounts: vec![Account {
            name: "app".into(),
            uid: 1000,
            gid: 1000,
            group: "app".into(),
            home: path("home/app"),
            shell: "/sbin/nologin".into(),
            description: String::new(),
        }],
        accounts_from: None,
        skip: vec![Fixup::Nsswitch],
        overrides: vec!["/etc/*".into()],
        privileged: vec!["/usr/bin/ping".into()],
        os_release: [("ID".into(), "acme".into())].into(),
        key_lines: Arc::clone(&image.levels[0].key_lines),
    };
    assert_eq!(image.levels, [expected]);
    assert_eq!(image.config.user.as_deref(), Some("app"));
}
