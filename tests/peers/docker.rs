//! docker loads what is composed, builds the examples on it as they are printed, and runs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dlstore_kit::engines::{Docker, docker};
use dlstore_kit::images::{self, ARCHITECTURES, Set};
use dlstore_kit::inputs::{self, peer, programs};
use dlstore_kit::{lifetime, program, roots, succeed, workspace};

const STRANGER: [&str; 2] = ["--user", "1000650000:0"];

/// Composes for amd64 and loads it under a name.
fn load(docker: &Docker, set: &Set, reference: &str, name: &str) {
    let directory = lifetime::temporary();
    let file = directory.path().join("image.tar");
    let mut command = set.place.command(["compose", "--arch", "amd64", reference, "-o"]);
    command.arg(format!("docker-archive:{}:{name}", file.display()));
    succeed(command.arg("--from").args(&set.from));
    docker.run(&["load", "--quiet", "--input", file.to_str().unwrap()]);
}

/// The directories `images/IMAGE/examples/LANGUAGE`.
fn examples() -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for image in fs::read_dir(workspace::own("images")).unwrap() {
        let image = image.unwrap().path();
        let Ok(languages) = fs::read_dir(image.join("examples")) else { continue };
        let name = image.file_name().unwrap().to_str().unwrap().to_owned();
        let mut languages: Vec<PathBuf> = languages.map(|language| language.unwrap().path()).collect();
        languages.sort_unstable();
        found.insert(name, languages);
    }
    found
}

/// A container of an example says nothing but `ok`, whoever runs it.
fn hello(docker: &Docker, options: &[&str], image: &str, program: &[&str]) {
    for user in [&[][..], &STRANGER] {
        let said = docker.container(&[user, options, &[image], program].concat());
        let lines: Vec<&str> = said.lines().skip(1).collect();
        assert!(lines.len() >= 4 && lines.iter().all(|line| line.starts_with("ok ")), "{image}: {said}");
    }
}

#[test]
fn examples_are_built_as_printed_and_run() {
    let (Some(docker), Some(set)) = (docker(), images::debian(program!())) else { return };
    docker.builders();
    let flavors = BTreeMap::from([
        ("static", &["static:debian", "static"][..]),
        ("musl-dynamic", &["musl-dynamic"]),
        ("glibc-dynamic", &["glibc-dynamic", "glibc-dynamic:nonroot"]),
    ]);
    let examples = examples();
    assert_eq!(examples.keys().collect::<Vec<_>>(), flavors.keys().collect::<Vec<_>>());
    for (image, languages) in examples {
        for reference in flavors[image.as_str()] {
            // The name that the Dockerfiles say.
            load(docker, set, reference, &format!("{image}:latest"));
            for language in &languages {
                let tag = format!("hello-{}-{}", reference.replace(':', "-"), language.file_name().unwrap().display());
                docker.build(&tag, language);
                hello(docker, &[], &tag, &[]);
            }
        }
    }
}

#[test]
fn a_stranger_runs_programs_in_all_images() {
    let (Some(docker), Some(set), Some(programs)) = (docker(), images::debian(program!()), programs()) else { return };
    for (reference, kind) in [
        ("static", "static"),
        ("static:debian", "static"),
        ("musl-dynamic", "musl"),
        ("glibc-dynamic", "glibc"),
        ("glibc-dynamic", "static"),
    ] {
        let name = format!("localhost/stranger-{}:v1", reference.replace(':', "-"));
        load(docker, set, reference, &name);
        let program = format!("{}:/hello:ro", programs.join("amd64").join(kind).join("hello").display());
        hello(docker, &["--volume", &program], &name, &["/hello"]);
    }
}

#[test]
fn docker_is_handed_the_image_of_this_machine() {
    let (Some(docker), Some(set)) = (docker(), images::debian(program!())) else { return };
    let directory = lifetime::temporary();
    let mut command = set.place.command(["compose", "static:debug", "--arch", "all", "--load", "docker", "-o"]);
    command.arg(format!("oci:{}", directory.path().join("layout").display())).arg("--from").args(&set.from);
    let printed = succeed(docker.aim(&mut command));
    assert_eq!(printed, format!("static-debug@{}\n", set.image("static:debug").digest));
    let said = docker.container(&["static:debug", "-c", "echo $((6 * 7)); id -u; date -d @0 +%T"]);
    assert_eq!(said, "42\n65532\n00:00:00\n");
}

#[test]
fn docker_loads_every_platform_of_an_archive() {
    let (Some(docker), Some(set)) = (docker(), images::debian(program!())) else { return };
    let directory = lifetime::temporary();
    let file = directory.path().join("image.tar");
    for reference in ["static", "musl-dynamic", "glibc-dynamic"] {
        let mut command = set.place.command(["compose", "--arch", "all", reference, "-o"]);
        command.arg(format!("docker-archive:{}:localhost/platforms-{reference}:v1", file.display()));
        succeed(command.arg("--from").args(&set.from));
        docker.run(&["load", "--quiet", "--input", file.to_str().unwrap()]);
        for arch in ARCHITECTURES {
            let name = format!("localhost/platforms-{reference}:v1-{}", arch.tag);
            let format = "{{.Architecture}}{{if .Variant}}/{{.Variant}}{{end}} {{range .RootFS.Layers}}{{.}} {{end}}";
            let said = docker.run(&["image", "inspect", "--format", format, &name]);
            let platform = set.image(reference).platform(arch.oci);
            let layers: Vec<&str> = platform.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
            let name = if arch.oci == "arm64" { "arm64/v8" } else { arch.oci };
            assert_eq!(said.trim(), format!("{name} {}", layers.join(" ")));
        }
    }
}

#[test]
fn docker_runs_every_platform_under_emulation() {
    let (Some(docker), Some(set), Some(programs)) = (docker(), images::debian(program!()), programs()) else { return };
    let emulators = [
        ("arm64", "qemu-aarch64-static"),
        ("ppc64le", "qemu-ppc64le-static"),
        ("riscv64", "qemu-riscv64-static"),
        ("s390x", "qemu-s390x-static"),
    ];
    for (oci, emulator) in emulators {
        let arch = *ARCHITECTURES.iter().find(|arch| arch.oci == oci).unwrap();
        let directory = lifetime::temporary();
        let file = directory.path().join("image.tar");
        let name = format!("localhost/emulated-{oci}:v1");
        let mut command = set.place.command(["compose", "--arch", oci, "glibc-dynamic", "-o"]);
        command.arg(format!("docker-archive:{}:{name}", file.display()));
        succeed(command.arg("--from").args(&set.from));
        docker.run(&["load", "--quiet", "--input", file.to_str().unwrap()]);
        let program = format!("{}:/hello:ro", programs.join(arch.debian).join("glibc/hello").display());
        let qemu = format!("/usr/bin/{emulator}:/run/qemu:ro");
        let platform = format!("linux/{oci}");
        hello(
            docker,
            &["--platform", &platform, "--volume", &qemu, "--volume", &program],
            &name,
            &["/run/qemu", "/hello"],
        );
    }
}

/// Writes a Dockerfile, and what it copies, into a new directory.
fn context(dockerfile: &str, files: &[(&Path, &str)]) -> tempfile::TempDir {
    let directory = lifetime::temporary();
    fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
    for (from, to) in files {
        roots::place(from, directory.path(), to);
    }
    directory
}

/// What keeps its loader when a directory `/lib` comes on top: all of them, for their own `/lib` is a directory,
/// where a link of that name would be hidden.
const LIB_ON_TOP: [(&str, &str, bool); 3] =
    [("glibc-dynamic", "glibc", true), ("musl-dynamic:alpine", "musl", true), ("musl-dynamic", "musl", true)];

/// Whether a program runs in a new container of an image.
fn runs(docker: &Docker, image: &str, program: &str) -> bool {
    let arguments = ["run", "--rm", "--network", "none", image, program];
    docker.aim(Command::new("docker").args(arguments)).output().unwrap().status.success()
}

/// Loads an image under a name of this test; `None` when its packages are not at hand.
fn base(docker: &Docker, reference: &str, purpose: &str) -> Option<String> {
    let set = images::of(program!(), reference)?;
    let name = format!("localhost/{purpose}-{}:v1", reference.replace(':', "-"));
    load(docker, set, reference, &name);
    Some(name)
}

/// A root that a user's build puts together, with programs in `/usr/bin` and a library in `/lib`.
fn with_root(base: &str, kind: &str, copies: &str) -> tempfile::TempDir {
    let programs = programs().unwrap().join("amd64").join(kind);
    let dockerfile = format!(
        "FROM gcc:14 AS build\nCOPY hello answer /root/usr/bin/\nCOPY libanswer.so /root/lib/\nFROM {base}\n{copies}\n"
    );
    let files = ["hello", "answer", "libanswer.so"].map(|name| (programs.join(name), name));
    context(&dockerfile, &files.each_ref().map(|(from, to)| (from.as_path(), *to)))
}

#[test]
fn a_root_directory_is_copied_on_top() {
    let (Some(docker), Some(_)) = (docker(), programs()) else { return };
    docker.builders();
    for (reference, kind, survives) in LIB_ON_TOP {
        let Some(base) = base(docker, reference, "copied") else { continue };
        let tag = format!("copied-{}", reference.replace(':', "-"));
        docker.build(&tag, with_root(&base, kind, "COPY --from=build /root/ /").path());
        assert_eq!(runs(docker, &tag, "/usr/bin/hello"), survives, "{reference}");
        if survives {
            hello(docker, &[], &tag, &["/usr/bin/hello"]);
            assert_eq!(docker.container(&[&tag, "/usr/bin/answer"]), "42\n", "{reference}");
        }
    }
}

#[test]
fn directories_are_copied_on_top_one_by_one() {
    let (Some(docker), Some(_)) = (docker(), programs()) else { return };
    docker.builders();
    for (reference, kind, _) in LIB_ON_TOP {
        let Some(base) = base(docker, reference, "one-by-one") else { continue };
        let tag = format!("one-by-one-{}", reference.replace(':', "-"));
        let copies = "COPY --from=build /root/usr/ /usr/\nCOPY --from=build /root/lib/ /lib/";
        docker.build(&tag, with_root(&base, kind, copies).path());
        hello(docker, &[], &tag, &["/usr/bin/hello"]);
        assert_eq!(docker.container(&[&tag, "/usr/bin/answer"]), "42\n", "{reference}");
    }
}

#[test]
fn a_layer_with_a_real_lib_directory_lies_on_top() {
    let (Some(docker), Some(programs), Some(()), Some(())) = (docker(), programs(), peer("umoci"), peer("skopeo"))
    else {
        return;
    };
    for (reference, kind, survives) in LIB_ON_TOP {
        let Some(set) = images::of(program!(), reference) else { continue };
        // A layer as other tools make them: a directory `lib/`, and a program.
        let directory = lifetime::temporary();
        let [root, layer, layout, archive] =
            ["root", "layer.tar", "layout", "image.tar"].map(|name| directory.path().join(name));
        roots::place(&programs.join("amd64").join(kind).join("hello"), &root, "usr/bin/hello");
        roots::place(&inputs::script("programs/answer.h"), &root, "lib/mine");
        let mut tar = Command::new("tar");
        succeed(tar.args(["--owner=0", "--group=0", "-cf"]).arg(&layer).arg("-C").arg(&root).args(["lib", "usr"]));
        let mut command = set.place.command(["compose", "--copy", "--arch", "amd64", reference, "-o"]);
        command.arg(format!("oci:{}:mine", layout.display())).arg("--from").args(&set.from);
        succeed(&mut command);
        let at = format!("{}:mine", layout.display());
        succeed(Command::new("umoci").args(["raw", "add-layer", "--image", &at, "--tag", "top"]).arg(&layer));
        let name = format!("localhost/real-lib-{}:v1", reference.replace(':', "-"));
        let [from, to] =
            [format!("oci:{}:top", layout.display()), format!("docker-archive:{}:{name}", archive.display())];
        succeed(Command::new("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]));
        docker.run(&["load", "--quiet", "--input", archive.to_str().unwrap()]);
        assert_eq!(runs(docker, &name, "/usr/bin/hello"), survives, "{reference}");
        if survives {
            hello(docker, &[], &name, &["/usr/bin/hello"]);
        }
    }
}

#[test]
fn openssl_takes_all_roots_in_a_container() {
    let (Some(docker), Some(set), Some(programs)) = (docker(), images::debian(program!()), programs()) else { return };
    for reference in ["static:debian", "musl-dynamic", "glibc-dynamic"] {
        let base = format!("localhost/roots-{}:v1", reference.replace(':', "-"));
        load(docker, set, reference, &base);
        let mount = format!("{}:/roots:ro", programs.join("amd64/static/roots").display());
        for user in [&[][..], &STRANGER] {
            let said = docker.container(&[user, &["--volume", &mount, &base, "/roots"]].concat());
            assert!(said.trim().parse::<u32>().unwrap() >= 150, "{reference}: {said}");
        }
    }
}
