//! `BuildKit` takes a layout as `FROM static`, by the Dockerfile and the commands that the README prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dlstore_kit::engines::{Docker, docker};
use dlstore_kit::inputs::{found, peer, superuser};
use dlstore_kit::{Place, place, program, succeed, workspace};

/// A `BuildKit` of the test's own, and a docker whose `buildx` speaks to it.
pub(super) struct BuildKit {
    daemon: Child,
    directory: tempfile::TempDir,
}

impl BuildKit {
    pub(super) fn start() -> Option<Self> {
        for program in ["docker", "buildx", "buildkitd", "runc"] {
            peer(program)?;
        }
        superuser()?;
        // Not under the project: a socket's path has at most 107 bytes.
        let directory = tempfile::tempdir().unwrap();
        let plugins = directory.path().join("cli-plugins");
        fs::create_dir(&plugins).unwrap();
        std::os::unix::fs::symlink(found("buildx").unwrap(), plugins.join("docker-buildx")).unwrap();
        let mut command = Command::new("buildkitd");
        command.arg("--root").arg(directory.path().join("root")).arg("--addr").arg(address(directory.path()));
        command.args(["--containerd-worker=false", "--oci-worker-snapshotter=native", "--oci-worker-net=host"]);
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let mut daemon = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        while !directory.path().join("socket").exists() {
            let said = || fs::read_to_string(directory.path().join("log")).unwrap();
            assert!(daemon.try_wait().unwrap().is_none(), "buildkitd ended: {}", said());
            assert!(begun.elapsed() < Duration::from_secs(120), "buildkitd does not listen: {}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
        let built = Self { daemon, directory };
        let mut create = Command::new("docker");
        create.args(["buildx", "create", "--name", "tests", "--driver", "remote"]);
        succeed(built.aim(create.arg(address(built.directory.path()))));
        Some(built)
    }

    /// A command whose `docker buildx` is this one.
    pub(super) fn aim<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("DOCKER_CONFIG", self.directory.path()).env("BUILDX_BUILDER", "tests")
    }
}

fn address(directory: &Path) -> String {
    format!("unix://{}", directory.join("socket").display())
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        // It is asked to end, and lets go of what it mounted.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
    }
}

/// What the README prints between the fence that `opening` begins and the next one, of the section about Dockerfiles.
fn printed(opening: &str) -> String {
    let readme = fs::read_to_string(workspace::own("README.md")).unwrap();
    let section = readme.split_once("Or keep your Dockerfile").unwrap().1;
    let block = section.split_once(&format!("{opening}\n")).unwrap().1;
    block.split_once("```").unwrap().0.to_owned()
}

/// The image that Go programs are built in, as a layout: no registry is there to have it from.
fn builder(docker: &Docker, place: &Place) -> PathBuf {
    docker.builders();
    let (archive, layout) = (place.project().join("golang.tar"), place.project().join("golang"));
    docker.run(&["save", "--output", archive.to_str().unwrap(), "golang:1"]);
    let (from, to) = (format!("docker-archive:{}", archive.display()), format!("oci:{}:1", layout.display()));
    succeed(Command::new("skopeo").args(["copy", "--quiet", &from, &to]));
    fs::remove_file(archive).unwrap();
    layout
}

#[test]
fn the_dockerfile_of_the_readme_is_built_as_printed_and_runs() {
    let (Some(buildkit), Some(docker), Some(())) = (BuildKit::start(), docker(), peer("skopeo")) else { return };
    let place = place!();
    let golang = builder(docker, &place);
    let source = place.project().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("go.mod"), "module example.com/hello\n\ngo 1.18\n").unwrap();
    fs::write(source.join("main.go"), "package main\n\nfunc main() { println(\"Hello\") }\n").unwrap();
    fs::write(source.join("Dockerfile"), printed("```dockerfile")).unwrap();
    // As they are printed, with two words more: where `golang:1` is from, and where the image goes.
    let commands = printed("```sh");
    assert!(
        commands.contains("buildx build --build-context static=oci-layout://$PWD/out/static:embedded -t hello .\n")
    );
    let (from, to) =
        (format!("--build-context golang:1=oci-layout://{}:1", golang.display()), "type=docker,dest=hello.tar");
    let commands = commands.replace("buildx build ", &format!("buildx build {from} --output {to} "));
    let mut shell = Command::new("sh");
    place.surround(&mut shell);
    let program = format!("dlstore() {{ {} \"$@\"; }}\n", program!());
    succeed(buildkit.aim(shell.current_dir(&source).args(["-euc", &(program + &commands)])));
    docker.run(&["load", "--quiet", "--input", source.join("hello.tar").to_str().unwrap()]);
    let user = docker.run(&["image", "inspect", "--format", "{{.Config.User}}", "hello"]);
    assert_eq!(user.trim(), "65532:65532");
    let ran = succeed(docker.aim(Command::new("sh").args(["-c", "docker run --rm --network none hello 2>&1"])));
    assert_eq!(ran, "Hello\n");
}
