//! What other programs make of our outputs: skopeo, umoci, podman, docker. One that is not installed
//! is skipped, and so is docker without a daemon (`DOCKER_HOST` says where); the test says so.
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use oci_spec::image::ImageIndex;
use serde_json::Value;

use super::archive::{self, Sink};
use super::entries::Named;
use super::fixture::{Real, real, script};
use super::name::{ImageName, RefName};
use super::output::Names;
use super::{Documents, Takeover, layout, load};
use dlstore_fsx::output::Placement;
use dlstore_model::arch::Arch;

/// Runs a peer and gives what it printed; `None` when it is not there.
fn run(program: &str, args: &[&str]) -> Option<Result<String, String>> {
    let output = match Command::new(program).args(args).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            return None;
        }
        output => output.unwrap(),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

/// As [`run`], for what has to succeed.
fn succeed(program: &str, args: &[&str]) -> Option<String> {
    run(program, args).map(|outcome| outcome.unwrap_or_else(|error| panic!("{program} {args:?}: {error}")))
}

/// The image as `latest`, with an entry for each architecture too: umoci asks for one.
fn latest(documents: &Documents) -> Named<'_> {
    Named { tag: "latest", full: None, image: "x:y", has_arch_tags: true, documents }
}

fn names(name: ImageName) -> Names {
    Names { reference: "x:y".into(), printed: "x".into(), short: "x".into(), full: vec![name] }
}

fn image_name() -> ImageName {
    "localhost/acme/x:1".parse().unwrap()
}

fn in_layout(dir: &Path, image: &Real) {
    layout::write(
        dir,
        &[layout::Image { named: latest(&image.documents()), source: image }],
        Placement::Link,
        Takeover::Refused,
    )
    .unwrap();
}

fn architecture(inspected: &str) -> String {
    let value: Value = serde_json::from_str(inspected).unwrap();
    value["Architecture"].as_str().or_else(|| value["architecture"].as_str()).unwrap().to_owned()
}

#[test]
fn skopeo_reads_each_tag_of_a_layout_and_copies_all_of_it() {
    let image = real(&Arch::ALL);
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    in_layout(&from, &image);
    let from = format!("oci:{}:latest", from.display());
    for arch in Arch::ALL {
        let of_platform = format!("{from}-{}", arch.tag());
        let Some(text) = succeed("skopeo", &["inspect", "--config", &of_platform]) else { return };
        assert_eq!(architecture(&text), arch.oci());
        let mut args = vec!["--override-arch", arch.oci()];
        args.extend(arch.variant().iter().flat_map(|variant| ["--override-variant", variant]));
        args.extend(["inspect", "--config", &from]);
        let chosen = succeed("skopeo", &args).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&chosen).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    }
    let target = format!("oci:{}:all", to.display());
    succeed("skopeo", &["--insecure-policy", "copy", "--all", "--preserve-digests", &from, &target]).unwrap();
    let index = ImageIndex::from_file(to.join("index.json")).unwrap();
    assert_eq!(index.manifests()[0].digest().to_string(), image.documents().index.digest.to_string());
}

#[test]
fn a_layout_is_shared_with_skopeo_and_umoci() {
    let (image, next) = (real(&[Arch::Amd64, Arch::Arm64]), real(&[Arch::Amd64]));
    let dir = tempfile::tempdir().unwrap();
    in_layout(dir.path(), &image);
    let at = |tag: &str| format!("{}:{tag}", dir.path().display());
    let [from, to] = ["latest-arm64", "theirs"].map(|tag| format!("oci:{}", at(tag)));
    if succeed("skopeo", &["--insecure-policy", "copy", &from, &to]).is_none()
        || succeed("umoci", &["tag", "--image", &at("latest-amd64"), "too"]).is_none()
    {
        return;
    }
    // They wrote `index.json` anew in their own way, and what we said is still said.
    assert!(layout::are_current(
        dir.path(),
        &[layout::Image { named: latest(&image.documents()), source: &image }],
        Placement::Link
    ));
    in_layout(dir.path(), &next);
    for (theirs, platform) in [("too", 0), ("theirs", 1)] {
        let text = succeed("skopeo", &["inspect", "--config", "--raw", &format!("oci:{}", at(theirs))]).unwrap();
        assert_eq!(text.trim().as_bytes(), image.documents().platforms[platform].config.data);
    }
}

#[test]
fn umoci_unpacks_every_platform_of_a_layout() {
    let image = real(&Arch::ALL);
    let dir = tempfile::tempdir().unwrap();
    in_layout(dir.path(), &image);
    for arch in Arch::ALL {
        let from = format!("{}:latest-{}", dir.path().display(), arch.tag());
        let bundle = dir.path().join(format!("bundle-{}", arch.tag()));
        if succeed("umoci", &["unpack", "--rootless", "--image", &from, bundle.to_str().unwrap()]).is_none() {
            return;
        }
        let read = |path: &str| fs::read_to_string(bundle.join("rootfs/etc").join(path)).unwrap();
        assert_eq!(read("arch"), arch.to_string());
        assert!(read("passwd").starts_with("root:"));
    }
}

#[test]
fn skopeo_reads_both_archives() {
    let image = real(&[Arch::Amd64, Arch::ArmV6]);
    let dir = tempfile::tempdir().unwrap();
    let [oci, docker, out] = ["oci.tar", "docker.tar", "out"].map(|name| dir.path().join(name).display().to_string());
    archive::write_oci(Sink::File(oci.as_ref()), &[RefName::from(&image_name())], &image.documents(), &image).unwrap();
    archive::write_docker(Sink::File(docker.as_ref()), &[image_name()], &image.documents(), &image).unwrap();
    for (from, arch) in [
        (format!("oci-archive:{oci}"), "amd64"),
        (format!("oci-archive:{oci}:{}", image_name()), "amd64"),
        (format!("oci-archive:{docker}:{}-armv6", image_name()), "arm"),
        (format!("docker-archive:{docker}:{}-amd64", image_name()), "amd64"),
        (format!("docker-archive:{docker}:{}-armv6", image_name()), "arm"),
    ] {
        let override_arch = ["--override-arch", "amd64", "inspect", "--config", &from];
        let Some(text) = succeed("skopeo", &override_arch) else { return };
        assert_eq!(architecture(&text), arch, "{from}");
    }
    for from in [format!("oci-archive:{oci}"), format!("docker-archive:{docker}:{}-armv6", image_name())] {
        succeed("skopeo", &["--insecure-policy", "--override-arch", "amd64", "copy", &from, &format!("oci:{out}:x")])
            .unwrap();
    }
}

#[test]
fn a_layer_that_is_not_what_it_says_is_refused_by_a_peer_as_well() {
    let image = real(&[Arch::Amd64]);
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    in_layout(&from, &image);
    let layer = from.join("blobs/sha256").join(image.documents().layers().keys().next().unwrap().to_hex());
    let size = fs::read(&layer).unwrap().len();
    fs::remove_file(&layer).unwrap();
    fs::write(&layer, vec![0; size]).unwrap();
    let [from, to] = [&from, &to].map(|dir| format!("oci:{}:latest", dir.display()));
    if let Some(outcome) = run("skopeo", &["--insecure-policy", "--override-arch", "amd64", "copy", &from, &to]) {
        assert!(outcome.is_err());
    }
}

/// A podman with a storage of its own in a temporary directory.
struct Podman(tempfile::TempDir);

impl Podman {
    fn args(&self) -> Vec<String> {
        let directory = |name: &str| self.0.path().join(name).display().to_string();
        let flags = [("--root", directory("root")), ("--runroot", directory("run")), ("--tmpdir", directory("tmp"))];
        let mut args: Vec<String> = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        args.extend(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"].map(String::from));
        args
    }

    fn run(&self, args: &[&str]) -> Option<String> {
        let own = self.args();
        succeed("podman", &own.iter().map(String::as_str).chain(args.iter().copied()).collect::<Vec<_>>())
    }

    /// All images by name, with their architectures.
    fn images(&self) -> Vec<String> {
        let ids = self.run(&["images", "--quiet", "--no-trunc"]).unwrap();
        let mut seen: Vec<String> = ids
            .lines()
            .map(|id| {
                self.run(&["inspect", "--format", "{{index .RepoTags 0}} {{.Architecture}} {{len .RootFS.Layers}}", id])
            })
            .map(|line| line.unwrap().trim().to_owned())
            .collect();
        seen.sort_unstable();
        seen
    }
}

#[test]
fn podman_loads_both_archives_under_the_right_names() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image.tar");
    let both = real(&[Arch::Amd64, Arch::ArmV6]);
    let foreign = real(&[Arch::S390x]);
    let docker =
        |image: &Real| archive::write_docker(Sink::File(&file), &[image_name()], &image.documents(), image).unwrap();
    let oci = |image: &Real| {
        archive::write_oci(Sink::File(&file), &[RefName::from(&image_name())], &image.documents(), image).unwrap();
    };
    let cases: [(&dyn Fn(), &[&str]); 3] = [
        (&|| docker(&both), &["localhost/acme/x:1-amd64 amd64 2", "localhost/acme/x:1-armv6 arm 2"]),
        (&|| docker(&foreign), &["localhost/acme/x:1 s390x 2"]),
        (&|| oci(&both), &["localhost/acme/x:1 amd64 2"]),
    ];
    for (make, expected) in cases {
        make();
        let podman = Podman(tempfile::tempdir().unwrap());
        if podman.run(&["load", "--quiet", "--input", file.to_str().unwrap()]).is_none() {
            return;
        }
        if Arch::host() == Some(Arch::Amd64) {
            assert_eq!(podman.images(), expected);
        }
    }
}

#[test]
fn podman_takes_the_archive_from_a_stream() {
    if run("podman", &["--version"]).is_none() {
        return;
    }
    let podman = Podman(tempfile::tempdir().unwrap());
    // Its own storage is told to the child by a program of that name in front of the real one.
    let directory = podman.0.path().join("bin");
    fs::create_dir(&directory).unwrap();
    let text = format!("PATH=${{PATH#*:}} exec podman {} \"$@\"", podman.args().join(" "));
    script(&directory.join("podman"), &text);
    let search =
        std::env::join_paths([directory].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())))
            .unwrap();
    let mut environment: Vec<_> = std::env::vars_os().filter(|(key, _)| key != OsStr::new("PATH")).collect();
    environment.push(("PATH".into(), search));
    let image = real(&Arch::ALL);
    let loaded =
        load::load(&image.documents(), &names(image_name()), &image, load::Loader::Podman, Arch::host(), &environment)
            .unwrap();
    assert_eq!(loaded.names, ["localhost/acme/x:1"]);
    let host = Arch::host().unwrap();
    assert_eq!(podman.images(), [format!("localhost/acme/x:1 {} 2", host.oci())]);
}

#[test]
fn docker_takes_the_archive_from_a_stream_and_several_from_a_file() {
    let version = ["version", "--format", "{{.Server.Arch}}"];
    let Some(Ok(arch)) = run("docker", &version) else {
        eprintln!("skipped: docker has no daemon");
        return;
    };
    let host: Arch = arch.trim().parse().unwrap();
    let image = real(&Arch::ALL);
    let environment: Vec<_> = std::env::vars_os().collect();
    let name: ImageName = "localhost/dlstore-test/x:1".parse().unwrap();
    let inspect = |name: &str| {
        let format = "{{.Architecture}} {{len .RootFS.Layers}}";
        succeed("docker", &["image", "inspect", "--format", format, name]).unwrap().trim().to_owned()
    };
    let expected = |arch: Arch| format!("{} 2", arch.oci());
    let loaded =
        load::load(&image.documents(), &names(name.clone()), &image, load::Loader::Docker, Some(host), &environment)
            .unwrap();
    assert_eq!(loaded.names, [name.to_string()]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image.tar");
    archive::write_docker(Sink::File(&file), std::slice::from_ref(&name), &image.documents(), &image).unwrap();
    succeed("docker", &["load", "--quiet", "--input", file.to_str().unwrap()]).unwrap();
    let names: Vec<String> = Arch::ALL.iter().map(|arch| name.with_suffix(&arch.tag()).to_string()).collect();
    let seen: Vec<String> = names.iter().map(|name| inspect(name)).collect();
    let own = inspect(&name.to_string());
    let mut remove = vec!["rmi", "localhost/dlstore-test/x:1"];
    remove.extend(names.iter().map(String::as_str));
    succeed("docker", &remove).unwrap();
    assert_eq!(seen, Arch::ALL.map(expected));
    assert_eq!(own, expected(host));
}
