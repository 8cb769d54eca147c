//! crane pushes a layout as it is, and what lies in the registry then is what was printed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use dlstore_kit::inputs::peer;
use dlstore_kit::{Place, place, succeed};

/// A registry of crane's own, in memory, on a free port of this machine.
struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    fn start() -> Self {
        let mut command = Command::new("crane");
        command.args(["registry", "serve", "--address", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let port = line.trim_end().rsplit(' ').next().unwrap().to_owned();
        assert!(port.parse::<u16>().is_ok(), "{line}");
        // It speaks of every request; nobody reads it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, address: format!("127.0.0.1:{port}") }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn crane(arguments: &[&str]) -> String {
    succeed(Command::new("crane").args(arguments).arg("--insecure"))
}

/// Composes, and gives the printed digest.
fn digest(place: &Place, arguments: &[&str]) -> String {
    let printed = place.ok([&["compose"], arguments].concat());
    printed.trim_end().rsplit('@').next().unwrap().to_owned()
}

#[test]
fn crane_pushes_a_layout_of_one_image_under_the_printed_digest() {
    let Some(()) = peer("crane") else { return };
    let (place, registry) = (place!(), Registry::start());
    let words = "repository = \"ghcr.io/acme/app\"\ntags = [\"1.2\", \"latest\"]\nlabels.a = \"b\"\n";
    place.image("app", &format!("schema = 1\nextends = \"static\"\n{words}"));
    for (image, more) in [
        ("static", &["--arch", "all"][..]),
        ("static", &["--arch", "arm/v7"]),
        ("app", &["--arch", "amd64,s390x"]),
        ("app", &["--arch", "riscv64"]),
    ] {
        let layout = place.project().join("layout");
        let _ = std::fs::remove_dir_all(&layout);
        let made = digest(&place, &[&[image, "-o", "oci:layout"], more].concat());
        let name = format!("{}/{image}:{}", registry.address, more.len());
        let pushed = crane(&["push", layout.to_str().unwrap(), &name]);
        assert!(pushed.trim_end().ends_with(&made), "{image} {more:?}: {pushed} is not {made}");
        assert_eq!(crane(&["digest", &name]).trim_end(), made, "{image} {more:?}");
        crane(&["validate", "--remote", &name]);
    }
}

#[test]
fn crane_pushes_a_docker_archive_of_one_architecture() {
    let Some(()) = peer("crane") else { return };
    let (place, registry) = (place!(), Registry::start());
    place.ok(["compose", "static", "--arch", "ppc64le", "-o", "docker-archive:image.tar"]);
    let name = format!("{}/static:archive", registry.address);
    crane(&["push", place.project().join("image.tar").to_str().unwrap(), &name]);
    crane(&["validate", "--remote", &name]);
    let config: serde_json::Value = serde_json::from_str(&crane(&["config", &name])).unwrap();
    assert_eq!(config["architecture"], "ppc64le");
}
