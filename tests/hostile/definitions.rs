//! What a definition says, visible in the image; and what it may not reach.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use dlstore_kit::{Done, Layout, Place, place};

fn compose(place: &Place, arch: &str) -> Done {
    place.run(["compose", "demo", "--arch", arch, "-o", "oci:out:demo"])
}

fn layout(place: &Place) -> Layout {
    Layout(place.project().join("out"))
}

#[test]
fn own_files_have_the_mode_owner_and_content_that_were_said() {
    let place = place!();
    place.image(
        "demo",
        r#"schema = 1
files."/usr/bin/app" = { source = "build/{arch}/app" }
files."/etc/app/" = { source = "config/" }
files."/etc/app.key" = { source = "key", mode = "0600", owner = "nonroot" }
files."/etc/mode" = { content = "production\n" }
files."/etc/group-owned" = { content = "", owner = "nonroot:staff" }
files."/var/lib/app/" = { owner = "1000:2000", mode = "0750" }
files."/var/lib/own" = { content = "x", owner = "app" }
links."/usr/bin/alias" = "app"
accounts = [{ name = "app", uid = 1234 }]
"#,
    );
    let directory = place.project().join("images/demo");
    for arch in ["amd64", "arm64"] {
        place.project_file(&format!("images/demo/build/{arch}/app"), arch.as_bytes());
        let path = directory.join(format!("build/{arch}/app"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    place.project_file("images/demo/config/a.conf", b"a");
    place.project_file("images/demo/config/sub/b.conf", b"b");
    place.project_file("images/demo/key", b"secret");
    compose(&place, "amd64,arm64").ok();
    for arch in ["amd64", "arm64"] {
        let files = layout(&place).files("demo", arch);
        let of = |path: &str| {
            let (header, bytes) = files.get(path).unwrap_or_else(|| panic!("{path} in {:?}", files.keys()));
            (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap(), bytes.clone())
        };
        assert_eq!(of("usr/bin/app"), (0o755, 0, 0, arch.as_bytes().to_vec()));
        assert_eq!(of("etc/app/sub/b.conf"), (0o644, 0, 0, b"b".to_vec()));
        assert_eq!(of("etc/app.key"), (0o600, 65532, 65532, b"secret".to_vec()));
        assert_eq!(of("etc/mode"), (0o644, 0, 0, b"production\n".to_vec()));
        assert_eq!(of("etc/group-owned"), (0o644, 65532, 50, vec![]));
        assert_eq!(of("var/lib/app"), (0o750, 1000, 2000, vec![]));
        assert_eq!(of("var/lib/own"), (0o644, 1234, 1234, b"x".to_vec()));
        let (header, _) = &files["usr/bin/alias"];
        assert_eq!(header.link_name().unwrap().unwrap().to_str(), Some("app"));
        assert!(files.values().all(|(header, _)| header.mtime().unwrap() == 0), "own files have no date");
    }
}

#[test]
fn own_files_do_not_lead_out_of_the_project() {
    let place = place!();
    std::fs::write(place.path().join("outside"), b"secret").unwrap();
    place.project_file("images/demo/inside", b"x");
    symlink(place.path().join("outside"), place.project().join("images/demo/link")).unwrap();
    symlink(place.path(), place.project().join("images/demo/directory")).unwrap();
    for source in ["../../../outside", "/etc/passwd", "link", "directory/outside", "../../../", "absent"] {
        for text in [
            format!("files.\"/x\" = {{ source = {source:?} }}"),
            format!("files.\"/x/\" = {{ source = {source:?} }}"),
            format!("certificates = [{source:?}]"),
        ] {
            place.image("demo", &format!("schema = 1\n{text}\n"));
            let done = compose(&place, "amd64");
            assert_eq!(done.code(), Some(1), "{text}: {done:?}");
            assert!(!done.err.contains("secret"), "{text}: {done:?}");
        }
    }
    // A directory that holds a link to the outside: the link itself, never what it leads to.
    place.project_file("images/demo/tree/file", b"x");
    symlink(place.path().join("outside"), place.project().join("images/demo/tree/link")).unwrap();
    place.image("demo", "schema = 1\nfiles.\"/x/\" = { source = \"tree/\" }\n");
    let done = compose(&place, "amd64");
    if done.code() == Some(0) {
        let files = layout(&place).files("demo", "amd64");
        assert!(files["x/link"].0.entry_type().is_symlink());
    }
}

#[test]
fn names_of_own_files_are_checked() {
    let place = place!();
    for path in ["relative", "/../x", "/a/../../b", "/.wh.x", "/a/.wh..wh..opq", "/", "/a//b", "/a\\u0000b"] {
        place.image("demo", &format!("schema = 1\nfiles.\"{path}\" = {{ content = \"x\" }}\n"));
        let done = compose(&place, "amd64");
        assert_eq!(done.code(), Some(1), "{path}: {done:?}");
    }
    for owner in ["nobody-knows", "-1", "1:", "nonroot:nowhere"] {
        place.image("demo", &format!("schema = 1\nfiles.\"/x\" = {{ content = \"\", owner = {owner:?} }}\n"));
        assert_eq!(compose(&place, "amd64").code(), Some(1), "{owner}");
    }
    for user in ["nobody-knows", "nonroot:nowhere"] {
        place.image("demo", &format!("schema = 1\nuser = {user:?}\n"));
        assert_eq!(compose(&place, "amd64").code(), Some(1), "{user}");
    }
}

#[test]
fn what_a_definition_says_stands_in_the_configuration() {
    let place = place!();
    place.image(
        "demo",
        r#"schema = 1
extends = "static:embedded"
description = "A demonstration"
user = "nonroot:staff"
workdir = "/srv"
entrypoint = ["/bin/demo", "--flag"]
cmd = ["serve"]
waive = ["entrypoint -> /bin/demo: a test", "workdir -> /srv: a test", "volumes -> /srv/data: a test"]
stop-signal = "SIGQUIT"
ports = ["8080", "53/udp"]
volumes = ["/srv/data"]
labels."org.example.team" = "tests"
labels.quote = "a \"b\" <c> é\n"
annotations."org.example.note" = "note"
env.LANG = "C.UTF-8"
os-release.PRETTY_NAME = "Demo \"quoted\" $HOME `x`"
os-release.VARIANT_ID = "demo"
accounts = [{ name = "demo", uid = 1000, gid = 1001, group = "demos", home = "/srv", shell = "/bin/demo" }]
"#,
    );
    compose(&place, "amd64,arm64").ok();
    let layout = layout(&place);
    let (manifest, config) = layout.image("demo", "arm64");
    let said = &config["config"];
    assert_eq!(said["User"], "65532:50");
    assert_eq!(said["WorkingDir"], "/srv");
    assert_eq!(said["Entrypoint"], json!(["/bin/demo", "--flag"]));
    assert_eq!(said["Cmd"], json!(["serve"]));
    assert_eq!(said["StopSignal"], "SIGQUIT");
    assert_eq!(said["ExposedPorts"], json!({"53/udp": {}, "8080/tcp": {}}));
    assert_eq!(said["Volumes"], json!({"/srv/data": {}}));
    assert_eq!(said["Labels"]["org.example.team"], "tests");
    assert_eq!(said["Labels"]["quote"], "a \"b\" <c> é\n");
    assert!(said["Env"].as_array().unwrap().contains(&json!("LANG=C.UTF-8")));
    assert!(said["Env"].as_array().unwrap().iter().any(|one| one.as_str().unwrap().starts_with("PATH=")));
    assert_eq!((&config["architecture"], &config["os"]), (&json!("arm64"), &json!("linux")));
    assert_eq!(manifest["annotations"]["org.example.note"], "note");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.description"], "A demonstration");
    assert_eq!(layout.index("demo").1["annotations"]["org.example.note"], "note");
    let files = layout.files("demo", "arm64");
    let text = |path: &str| String::from_utf8(files[path].1.clone()).unwrap();
    assert!(text("etc/passwd").contains("demo:x:1000:1001:"), "{}", text("etc/passwd"));
    assert!(text("etc/group").contains("demos:x:1001:"), "{}", text("etc/group"));
    let release = ["etc/os-release", "usr/lib/os-release"]
        .into_iter()
        .find(|path| files.get(*path).is_some_and(|(header, _)| header.entry_type().is_file()));
    let release = text(release.unwrap());
    assert!(release.contains("VARIANT_ID=demo\n") || release.contains("VARIANT_ID=\"demo\"\n"), "{release}");
    assert!(release.contains(r#"PRETTY_NAME="Demo \"quoted\" \$HOME \`x\`""#), "{release}");
}

/// The page says it of `OpenShift`, which gives a project a UID of its own, and group 0.
#[test]
fn a_user_that_is_a_number_without_an_account_has_group_0_and_may_write_what_that_group_may() {
    let place = place!();
    let text = |mode: &str| {
        format!(
            "schema = 1\nextends = \"static\"\nuser = \"1000650000\"\nvolumes = [\"/var/lib/app\"]\n\
             accounts = [{{ name = \"app\", uid = 1000, gid = 0 }}]\n\
             files.\"/var/lib/app/\" = {{ owner = \"1000:0\", mode = \"{mode}\" }}\n"
        )
    };
    place.image("demo", &text("0770"));
    compose(&place, "amd64").ok();
    assert_eq!(layout(&place).image("demo", "amd64").1["config"]["User"], "1000650000:0");
    place.image("demo", &text("0700"));
    let failed = compose(&place, "amd64");
    assert_eq!(failed.sentence(), "volumes /var/lib/app: 1000650000 cannot write to it");
    // The account itself is in group 0, too.
    place.image("demo", &text("0770").replace("1000650000", "app"));
    compose(&place, "amd64").ok();
    assert_eq!(layout(&place).image("demo", "amd64").1["config"]["User"], "1000:0");
}

#[test]
fn extra_certificates_come_into_the_bundle() {
    let place = place!();
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"])
        .args(["-subj", "/CN=Corporate Root", "-keyout", "/dev/null", "-out"])
        .arg(place.path().join("corp.pem"))
        .stderr(std::process::Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        println!("no openssl: an extra certificate is not tried");
        return;
    }
    let pem = std::fs::read(place.path().join("corp.pem")).unwrap();
    place.project_file("images/demo/corp.pem", &pem);
    place.image("demo", "schema = 1\nextends = \"static:embedded\"\ncertificates = [\"corp.pem\"]\n");
    compose(&place, "amd64").ok();
    let files = layout(&place).files("demo", "amd64");
    let bundle = &files["etc/ssl/certs/ca-certificates.crt"].1;
    let body: Vec<&str> =
        std::str::from_utf8(&pem).unwrap().lines().filter(|line| !line.starts_with("-----")).collect();
    let text = std::str::from_utf8(bundle).unwrap();
    assert!(text.contains(body[1]), "the bundle has it");
    assert!(files.keys().any(|path| path.starts_with("usr/local/share/ca-certificates/")));
    for bad in [
        &b"no certificate"[..],
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        place.project_file("images/demo/corp.pem", bad);
        let done = compose(&place, "amd64");
        assert!(done.code() == Some(1) && done.err.contains("corp"), "{:?}: {done:?}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn control_characters_in_the_configuration_are_refused_at_their_place() {
    let place = place!();
    for (character, number) in [("\\u0000", "0000"), ("\\u001b", "001B"), ("\\r", "000D"), ("\\u009b", "009B")] {
        for line in [
            format!("labels.note = \"a{character}b\""),
            format!("annotations.\"org.example.note\" = \"a{character}b\""),
            format!("env.NOTE = \"a{character}b\""),
            format!("cmd = [\"x\", \"a{character}b\"]"),
            format!("entrypoint = [\"a{character}b\"]"),
        ] {
            place.image("demo", &format!("schema = 1\n{line}\n"));
            let done = compose(&place, "amd64");
            let error = done.error();
            let sentence =
                format!("the value contains the control character U+{number}; only line breaks and tabs are allowed");
            assert!(error.contains("image.toml:2:") && error.ends_with(&sentence), "{line}: {error}");
            assert!(done.err.contains(&format!("2 | {line}")), "{done:?}");
        }
    }
    place.image(
        "demo",
        "schema = 1\ncmd = [\"sh\", \"-c\", \"a\\n\\tb\"]\nwaive = [\"cmd -> sh: a test\"]\nenv.X = \"1\\n2\"\n",
    );
    compose(&place, "amd64").ok();
}

#[test]
fn an_output_directory_keeps_what_is_the_users() {
    let place = place!();
    place.project_file("out/.dlstore-notes", b"mine");
    place.project_file("out/.dlstore-0123456789abcdef/file", b"mine");
    place.project_file("out/.dlstore-fedcba9876543210", b"left over");
    place.image("demo", "schema = 1\n");
    compose(&place, "amd64").ok();
    let names = dlstore_kit::names(&place.project().join("out"));
    let kept: Vec<&String> = names.iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(kept, [".dlstore-0123456789abcdef", ".dlstore-notes"]);
    assert_eq!(std::fs::read(place.project().join("out/.dlstore-notes")).unwrap(), b"mine");
}

#[test]
fn an_index_of_an_output_that_is_none_is_an_error_at_once() {
    let place = place!();
    place.image("demo", "schema = 1\n");
    std::fs::create_dir_all(place.project().join("out")).unwrap();
    let index = place.project().join("out/index.json");
    let made = std::process::Command::new("mkfifo").arg(&index).status().unwrap();
    assert!(made.success());
    let begun = std::time::Instant::now();
    let done = compose(&place, "amd64");
    assert!(done.error().contains("out/index.json"), "{done:?}");
    assert_eq!(done.lines("cause:"), ["out/index.json is a fifo, not a regular file"]);
    std::fs::remove_file(&index).unwrap();
    std::fs::write(&index, format!("{{\"manifests\":{}", "[".repeat(100_000))).unwrap();
    let done = compose(&place, "amd64");
    assert!(done.error().contains("out/index.json is not an OCI image index"), "{done:?}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(30));
}

#[test]
fn an_engine_that_sleeps_for_ever_is_ended_and_named() {
    let place = place!();
    place.image("demo", "schema = 1\n");
    let engine = place.path().join("bin/docker");
    std::fs::create_dir(place.path().join("bin")).unwrap();
    std::fs::write(&engine, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
    let load = |seconds: &str| {
        let mut command = place.command(["compose", "demo", "--arch", "amd64", "--load=docker"]);
        let path = format!("{}:/usr/bin:/bin", place.path().join("bin").display());
        command.env("PATH", path).env("DLSTORE_LOAD_TIMEOUT", seconds);
        dlstore_kit::finish(command)
    };
    let begun = std::time::Instant::now();
    let done = load("1");
    assert_eq!(done.error(), "cannot load demo");
    let cause = format!("{} load made no progress for 1 s and was killed: it gave no reason", engine.display());
    assert_eq!(done.lines("cause:"), [cause]);
    assert_eq!(done.lines("hint:"), ["check the engine, or set DLSTORE_LOAD_TIMEOUT=SECONDS to wait longer"]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30));
    assert_eq!(load("soon").code(), Some(2));
}

#[test]
fn mistakes_point_at_line_and_column() {
    let place = place!();
    for (text, words) in [
        ("schema = 1\nentrypiont = [\"/x\"]\n", "did you mean `entrypoint`"),
        ("schema = 1\npackages = [\"x\"\n", "2:"),
        ("schema = 2\n", "schema"),
        ("schema = 1\nuser = 5\n", "2:"),
    ] {
        place.image("demo", text);
        let done = compose(&place, "amd64");
        assert_eq!(done.code(), Some(1), "{done:?}");
        assert!(done.err.contains(words) && done.err.contains("image.toml"), "{text}: {done:?}");
    }
}

#[test]
fn what_is_wrong_with_accounts_and_certificates_names_the_key_of_the_definition() {
    let place = place!();
    place.project_file("images/demo/corp.pem", b"no certificate");
    for (text, sentence) in [
        (
            "accounts = [{ name = \"a\", uid = 5000, group = \"g\", gid = 1 }, { name = \"b\", uid = 5001, group = \"g\", gid = 2 }]",
            "accounts \"b\": g already has the number 1 in /etc/group and cannot have 2 too (see `accounts` and `accounts-from`)",
        ),
        ("certificates = [\"corp.pem\"]", "certificates \"corp.pem\": it contains no certificate (expected PEM text)"),
    ] {
        place.image("demo", &format!("schema = 1\nextends = \"static\"\n{text}\n"));
        let failed = place.run(["compose", "demo", "--arch", "amd64"]);
        assert_eq!(failed.error(), format!("images/demo/image.toml:3: {sentence}"));
    }
}
