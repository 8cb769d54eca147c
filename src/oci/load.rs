//! Hands an image to docker or podman on this machine.
//!
//! The engine's own command line does it (`docker load`, `podman load`), because it knows where its
//! daemon is: contexts, sockets, ssh. The archive is streamed into it, there is no temporary file. Of
//! several architectures the host's is taken, under the plain name.
//!
//! The child sees only the variables that say where the engine and its storage are. Its words are
//! kept: what it loaded is the outcome, and what it complained about stands in the error.
//!
//! An engine whose daemon hangs must not hang a job for ever: one that takes nothing of the archive, or
//! does not end when it has all of it, is ended after a time ([`PATIENCE`]).
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{fs, io};

use super::archive::stream_docker;
use super::child::{self, Talk, talk};
use super::name::ImageName;
use super::output::Names;
use super::{BlobSource, Documents, OciError, PlatformDocuments};
use dlstore_model::arch::Arch;
use dlstore_model::diagnose::{Diagnose, Hint, Kind};
use dlstore_model::escape::Escaped;
use dlstore_model::quantity::Span;

/// Which engine an image is handed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loader {
    /// The first of them on `PATH` that answers, docker before podman.
    #[default]
    Auto,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl Loader {
    /// Gives the names of the programs that may do it, best first.
    #[must_use]
    pub const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Auto => &["docker", "podman"],
            Self::Docker => &["docker"],
            Self::Podman => &["podman"],
        }
    }
}

impl std::str::FromStr for Loader {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        match text {
            "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "podman" => Ok(Self::Podman),
            other => Err(LoadError::Unknown(other.to_owned())),
        }
    }
}

/// What an engine has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The program that took it.
    pub program: PathBuf,
    /// The architecture that was handed over.
    pub arch: Arch,
    /// The names that the engine says it loaded.
    pub names: Vec<String>,
}

/// Tells why an image was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not a loader's name.
    #[error("unknown loader {0:?}; expected auto, docker or podman")]
    Unknown(String),
    /// No program to load it with.
    #[error("there is no {} on PATH", .0.programs().join(" and no "))]
    NoProgram(Loader),
    /// The host's architecture was not composed.
    #[error("the image does not support this machine ({host}), only {has}", host = .host.map_or("unknown".into(), |host| host.to_string()))]
    NoPlatform {
        /// The machine's architecture.
        host: Option<Arch>,
        /// What was composed.
        has: String,
    },
    /// The program could not be started or talked to.
    #[error("cannot run {}", Escaped::path(program))]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program ran, and its daemon did not answer.
    #[error("{} cannot reach its daemon: {said}", Escaped::path(program))]
    NoDaemon {
        /// The program.
        program: PathBuf,
        /// The last line of its complaint.
        said: String,
    },
    /// The program ran and failed.
    #[error("{} load failed ({status}): {said}", Escaped::path(program))]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard error.
        said: String,
    },
    /// The program did not get on.
    #[error("{} load made no progress for {} and was killed: {said}", Escaped::path(program), Span(*patience))]
    Stalled {
        /// The program.
        program: PathBuf,
        /// How long it was waited for.
        patience: Duration,
        /// The last line of what it wrote to its standard error.
        said: String,
    },
    /// A limit that is not one.
    #[error("{TIMEOUT_VARIABLE}={0:?} is not a number of seconds")]
    Patience(OsString),
    /// The archive could not be made.
    #[error(transparent)]
    Archive(#[from] OciError),
}

/// How long an engine may take nothing of what it is handed, or go on when it has all of it. An engine
/// unpacks as it reads, and the largest base image takes a slow disk under a minute; ten are for a daemon
/// that is busy with others, and fewer than what a CI job is given.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// The variable that says otherwise, in seconds.
pub(crate) const TIMEOUT_VARIABLE: &str = "DLSTORE_LOAD_TIMEOUT";

/// Reads how long an engine is waited for out of the environment.
///
/// # Errors
/// When the variable is there and is not a number of seconds, at least one.
pub fn patience(environment: &[(OsString, OsString)]) -> Result<Duration, LoadError> {
    let Some((_, value)) = environment.iter().find(|(key, _)| key == TIMEOUT_VARIABLE) else { return Ok(PATIENCE) };
    let seconds = value.to_str().and_then(|text| text.parse::<u32>().ok()).filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or_else(|| LoadError::Patience(value.clone()))?;
    Ok(Duration::from_secs(u64::from(seconds)))
}

impl Diagnose for LoadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown(_) | Self::Patience(_) => Kind::Usage,
            Self::NoPlatform { .. } => Kind::Input,
            Self::NoProgram(_)
            | Self::Run { .. }
            | Self::NoDaemon { .. }
            | Self::Failed { .. }
            | Self::Stalled { .. } => Kind::Environment,
            Self::Archive(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::NoProgram(_) => Some(Hint::new("install docker or podman, or write a file: -o docker-archive:FILE")),
            Self::NoPlatform { host: Some(host), .. } => Some(Hint::new(format!("--arch {host}"))),
            Self::NoDaemon { .. } => Some(Hint::new("start the daemon, set DOCKER_HOST, or load with podman")),
            Self::Stalled { .. } => {
                Some(Hint::new(format!("check the engine, or set {TIMEOUT_VARIABLE}=SECONDS to wait longer")))
            }
            Self::Archive(error) => error.hint(),
            _ => None,
        }
    }
}

/// The variables that a child may see, whole or (with a star) by their beginning.
const VARIABLES: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "XDG_*",
    "DOCKER_*",
    "CONTAINER_*",
    "CONTAINERS_*",
    "PODMAN_*",
];

/// Hands the image for `host` (or the only one there is) to an engine, by all its full names. To podman an image without
/// a repository is `localhost/NAME`: it takes a bare name for one of docker's registry.
///
/// `environment` is this process's own; `PATH` in it says where the engine is looked for, and
/// `TIMEOUT_VARIABLE` how long it is waited for.
///
/// # Errors
/// When there is no engine, no daemon, no fitting architecture; when a layer is missing, damaged or
/// zstd; when the engine refuses, or does not get on.
pub fn load(
    documents: &Documents,
    names: &Names,
    source: &dyn BlobSource,
    loader: Loader,
    host: Option<Arch>,
    environment: &[(OsString, OsString)],
) -> Result<Loaded, LoadError> {
    let platform = choose(documents, host)?;
    let patience = patience(environment)?;
    let search = environment.iter().find(|(key, _)| key == "PATH").map_or(OsStr::new(""), |(_, value)| value);
    let program = find_program(loader, search, environment).ok_or(LoadError::NoProgram(loader))?;
    let run = |source| LoadError::Run { program: program.clone(), source };
    let is_podman = program.file_name().is_some_and(|name| name == "podman");
    let local = |name: &ImageName| if is_podman && !name.has_registry() { name.on_localhost() } else { name.clone() };
    let names: Vec<ImageName> = names.full.iter().map(local).collect();
    let mut child = command(&program, environment)
        .args(["load", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(run)?;
    let outcome = talk(&mut child, patience, |input| stream_docker(input, &names, platform, source)).map_err(run);
    let Talk { outcome, status, out, err } = outcome?;
    let Some(status) = status else {
        return Err(LoadError::Stalled { program, patience, said: last_line(&err) });
    };
    match (outcome, status.success()) {
        // It went away before it had read everything: what it said is the reason, not our broken pipe.
        (Ok(()) | Err(OciError::Stream(_)), false) => Err(refused(program, status, &err)),
        (Err(error), _) => Err(error.into()),
        (Ok(()), true) => Ok(Loaded { program, arch: platform.arch, names: loaded_names(&out) }),
    }
}

fn choose(documents: &Documents, host: Option<Arch>) -> Result<&PlatformDocuments, LoadError> {
    if let [only] = documents.platforms.as_slice() {
        return Ok(only);
    }
    documents.platforms.iter().find(|platform| Some(platform.arch) == host).ok_or_else(|| {
        let has: Vec<String> = documents.platforms.iter().map(|platform| platform.arch.to_string()).collect();
        LoadError::NoPlatform { host, has: has.join(", ") }
    })
}

/// Finds the program to hand it to: of several the first that answers, and if none does the first of them, whose
/// complaint then is the error.
fn find_program(loader: Loader, search: &OsStr, environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let is_program =
        |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    let on_path = |name: &&str| {
        std::env::split_paths(search)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name))
            .find(|path| is_program(path))
    };
    let mut found: Vec<PathBuf> = loader.programs().iter().filter_map(on_path).collect();
    let at = if found.len() > 1 { found.iter().position(|program| answers(program, environment)) } else { None };
    (!found.is_empty()).then(|| found.swap_remove(at.unwrap_or(0)))
}

/// How long an engine is waited for that is asked whether it is there. One on this machine answers in a second; behind
/// `ssh` it takes some.
const ANSWER: Duration = Duration::from_secs(10);

/// Says whether an engine answers: `docker version` fails when it cannot reach its daemon.
fn answers(program: &Path, environment: &[(OsString, OsString)]) -> bool {
    let mut asked = command(program, environment);
    let asked = asked.arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    asked
        .is_ok_and(|mut child| child::ended(&mut child, ANSWER).is_ok_and(|status| status.is_some_and(|s| s.success())))
}

/// An engine's program, which sees only what says where it and its storage are.
fn command(program: &Path, environment: &[(OsString, OsString)]) -> Command {
    let mut command = Command::new(program);
    let passed_on = environment.iter().filter(|(key, _)| is_passed_on(key)).map(|(key, value)| (key, value));
    command.env_clear().envs(passed_on).env("LC_ALL", "C");
    command
}

fn is_passed_on(key: &OsStr) -> bool {
    key.to_str().is_some_and(|key| {
        VARIABLES.iter().any(|rule| rule.strip_suffix('*').map_or(*rule == key, |start| key.starts_with(start)))
    })
}

/// The last line of what a child said.
fn last_line(words: &str) -> String {
    let line = words.lines().last().unwrap_or("it gave no reason");
    dlstore_model::escape::Escaped::bytes(line.as_bytes()).to_string()
}

fn refused(program: PathBuf, status: ExitStatus, err: &str) -> LoadError {
    let said = last_line(err);
    let signs = [
        "cannot connect to the docker daemon",
        "cannot connect to podman",
        "is the docker daemon running",
        "failed to connect to the docker api",
        "unable to connect to podman",
    ];
    let words = err.to_lowercase();
    if signs.iter().any(|sign| words.contains(sign)) {
        LoadError::NoDaemon { program, said }
    } else {
        LoadError::Failed { program, status, said }
    }
}

/// Reads `Loaded image: NAME`, as docker and podman say it (podman also `Loaded image(s):`).
fn loaded_names(out: &str) -> Vec<String> {
    out.lines()
        .filter_map(|line| line.strip_prefix("Loaded image"))
        .filter_map(|rest| rest.split_once(": "))
        .flat_map(|(_, names)| names.split(','))
        .map(|name| dlstore_model::escape::Escaped::bytes(name.trim().as_bytes()).to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::archive::{Sink, write_docker};
    use std::time::Instant;

    use super::super::fixture::{Real, real, script};
    use super::*;

    fn names(name: &str) -> Names {
        let full = vec![name.parse().unwrap()];
        Names { reference: "b:x".into(), printed: "b".into(), short: "b".into(), full }
    }

    struct Engines(tempfile::TempDir);

    impl Engines {
        /// Puts a program on the path that does what a script says.
        fn with(engines: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            for (name, text) in engines {
                script(&directory.path().join(name), text);
            }
            Self(directory)
        }

        fn load(&self, image: &Real, loader: Loader) -> Result<Loaded, LoadError> {
            self.load_within(image, loader, "60")
        }

        fn load_within(&self, image: &Real, loader: Loader, seconds: &str) -> Result<Loaded, LoadError> {
            let path = format!("relative:{}:/usr/bin:/bin", self.0.path().display());
            let environment = [
                ("PATH", path.as_str()),
                ("DOCKER_HOST", "unix:///x"),
                ("SECRET", "x"),
                ("XDG_A", "1"),
                (TIMEOUT_VARIABLE, seconds),
            ]
            .map(|(key, value)| (key.into(), value.into()));
            let host = Some(Arch::Amd64);
            load(&image.documents(), &names("a/b:1"), image, loader, host, &environment)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
    }

    #[test]
    fn the_engine_gets_the_hosts_archive_and_only_its_own_variables() {
        let script = "directory=$(dirname $0); cat > $directory/got; env > $directory/env; echo $* > $directory/args; echo Loaded image: a/b:1";
        let engines = Engines::with(&[("podman", "exit 1"), ("docker", script)]);
        let image = real(&[Arch::Arm64, Arch::Amd64]);
        let loaded = engines.load(&image, Loader::Auto).unwrap();
        let program = engines.file("docker");
        assert_eq!(loaded, Loaded { program, arch: Arch::Amd64, names: vec!["a/b:1".into()] });
        let mut alone = image.documents();
        alone.platforms.retain(|platform| platform.arch == Arch::Amd64);
        let file = engines.file("expected");
        write_docker(Sink::File(&file), &names("a/b:1").full, &alone, &image).unwrap();
        assert!(fs::read(engines.file("got")).unwrap() == fs::read(file).unwrap());
        assert_eq!(fs::read_to_string(engines.file("args")).unwrap(), "load --quiet\n");
        let seen = fs::read_to_string(engines.file("env")).unwrap();
        let mut seen: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        seen.retain(|key| !matches!(*key, "PWD" | "_" | "SHLVL" | "OLDPWD"));
        seen.sort_unstable();
        assert_eq!(seen, ["DOCKER_HOST", "LC_ALL", "PATH", "XDG_A"]);
    }

    #[test]
    fn the_engine_that_answers_is_taken() {
        let (works, no_daemon) = ("cat > /dev/null; echo Loaded image: a/b:1", "cat > /dev/null; exit 1");
        let silent = "[ $1 = version ] && exec sleep 1000; exit 1";
        let image = real(&[Arch::Amd64]);
        for (docker, podman, taken) in [
            (works, works, "docker"),
            (no_daemon, works, "podman"),
            (silent, works, "podman"),
            (works, silent, "docker"),
        ] {
            let engines = Engines::with(&[("docker", docker), ("podman", podman)]);
            let begun = Instant::now();
            assert_eq!(engines.load(&image, Loader::Auto).unwrap().program, engines.file(taken), "{docker} {podman}");
            assert!(begun.elapsed() < ANSWER + Duration::from_secs(10), "{docker} {podman}");
        }
        // If none answers, the first one's complaint is the error; who asks for one gets that one.
        let engines = Engines::with(&[("docker", no_daemon), ("podman", no_daemon)]);
        let failed = |loader| match engines.load(&image, loader) {
            Err(LoadError::Failed { program, .. }) => program,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(Loader::Auto), engines.file("docker"));
        assert_eq!(failed(Loader::Podman), engines.file("podman"));
    }

    #[test]
    fn an_only_architecture_is_loaded_wherever_it_is_from() {
        let engines = Engines::with(&[("podman", "cat > /dev/null; echo 'Loaded image(s): localhost/a/b:1,x:2'")]);
        let loaded = engines.load(&real(&[Arch::S390x]), Loader::Podman).unwrap();
        assert_eq!((loaded.arch, loaded.names), (Arch::S390x, vec!["localhost/a/b:1".to_owned(), "x:2".to_owned()]));
        let error = engines.load(&real(&[Arch::S390x, Arch::Arm64]), Loader::Podman).unwrap_err();
        assert_eq!(error.to_string(), "the image does not support this machine (amd64), only arm64, s390x");
        assert_eq!(error.hint(), Some(Hint::new("--arch amd64")));
    }

    #[test]
    fn an_engine_without_a_daemon_says_so() {
        let says = "echo 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1";
        let engines = Engines::with(&[("docker", says)]);
        let error = engines.load(&real(&[Arch::Amd64]), Loader::Docker).unwrap_err();
        assert!(matches!(error, LoadError::NoDaemon { .. }), "{error}");
        assert!(error.to_string().ends_with(
            "cannot reach its daemon: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?"
        ));
    }

    #[test]
    fn what_an_engine_complains_about_is_kept_and_many_words_do_not_block() {
        let says =
            "head -c 300000 /dev/zero | tr '\\0' x >&2; echo >&2; head -c 300000 /dev/zero; cat > /dev/null; exit 3";
        let engines = Engines::with(&[("docker", says)]);
        let error = engines.load(&real(&[Arch::Amd64]), Loader::Docker).unwrap_err();
        assert!(matches!(&error, LoadError::Failed { status, .. } if status.code() == Some(3)), "{error}");
        let quiet = Engines::with(&[("docker", "exit 4")]);
        let error = quiet.load(&real(&[Arch::Amd64]), Loader::Docker).unwrap_err();
        assert!(error.to_string().ends_with("load failed (exit status: 4): it gave no reason"), "{error}");
    }

    #[test]
    fn a_damaged_layer_is_not_handed_over_as_a_whole_image() {
        let engines =
            Engines::with(&[("docker", "cat > /dev/null; touch $(dirname $0)/finished; echo Loaded image: a")]);
        let image = real(&[Arch::Amd64]);
        let layer = image.file(image.documents().layers().keys().next().unwrap());
        let size = fs::read(&layer).unwrap().len();
        fs::write(&layer, vec![0; size]).unwrap();
        let error = engines.load(&image, Loader::Docker).unwrap_err();
        assert!(matches!(error, LoadError::Archive(OciError::Damaged { .. })), "{error}");
        assert!(!engines.file("finished").exists());
    }

    #[test]
    fn an_engine_that_does_not_get_on_is_ended_and_named() {
        let image = real(&[Arch::Amd64]);
        for (says, what) in [
            ("echo waiting >&2; echo $$ > $(dirname $0)/id; exec sleep 1000", "takes nothing or does not end"),
            ("echo waiting >&2; echo $$ > $(dirname $0)/id; cat > /dev/null; exec sleep 1000", "does not end"),
            ("echo waiting >&2; echo $$ > $(dirname $0)/id; sleep 20", "leaves a child behind that holds the pipes"),
        ] {
            let engines = Engines::with(&[("docker", says)]);
            let begun = Instant::now();
            let error = engines.load_within(&image, Loader::Docker, "1").unwrap_err();
            assert!(matches!(&error, LoadError::Stalled { .. }), "{what}: {error}");
            let program = engines.file("docker");
            let sentence = format!("{} load made no progress for 1 s and was killed: waiting", program.display());
            assert_eq!(error.to_string(), sentence, "{what}");
            assert!(begun.elapsed() < Duration::from_secs(8), "{what}: {:?}", begun.elapsed());
            let id = fs::read_to_string(engines.file("id")).unwrap();
            assert!(!Path::new("/proc").join(id.trim()).exists(), "{what}: the child is gone");
        }
    }

    #[test]
    fn a_slow_engine_that_gets_on_is_waited_for() {
        let says = "head -c 1024 > /dev/null; sleep 0.8; cat > /dev/null; sleep 0.8; echo Loaded image: a/b:1";
        let engines = Engines::with(&[("docker", says)]);
        let loaded = engines.load_within(&real(&[Arch::Amd64]), Loader::Docker, "2").unwrap();
        assert_eq!(loaded.names, ["a/b:1"]);
        for bad in ["", "0", "-1", "soon", "1.5"] {
            let error = engines.load_within(&real(&[Arch::Amd64]), Loader::Docker, bad).unwrap_err();
            assert_eq!(error.to_string(), format!("DLSTORE_LOAD_TIMEOUT={bad:?} is not a number of seconds"));
        }
    }

    #[test]
    fn without_an_engine_a_file_is_proposed() {
        let nowhere: [(OsString, OsString); 0] = [];
        let image = real(&[Arch::Amd64]);
        let error = load(&image.documents(), &names("a"), &image, Loader::Auto, None, &nowhere).unwrap_err();
        assert_eq!(error.to_string(), "there is no docker and no podman on PATH");
        assert!(error.hint().unwrap().contains("docker-archive:FILE"));
        assert!("rkt".parse::<Loader>().is_err());
    }
}
