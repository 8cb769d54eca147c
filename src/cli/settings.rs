//! What was typed, settled: flags before the environment, both before what holds without them.
//!
//! Everything that comes from outside (variables, the clock, the current directory) enters here, once. What a use case
//! gets is typed and complete, so it reads no variable and asks no clock.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

use super::args::Global;
use super::args::compose::{ComposeArgs, DateFrom};
use super::args::image::{CompressionArg, FromArgs, LayersArg, ProjectArgs};
use super::args::packages::{AddArgs, NeedsArgs};
use super::args::store::{GcArgs, InitArgs, VerifyArgs};
use super::log;
use super::output::{Loudness, Output};
use crate::command::compose::names::Tag;
use crate::command::error::Error;
use crate::command::store::{gc, init, verify};
use crate::command::{add, compose, needs, request};
use dlstore_fsx::output::Placement;
use dlstore_image::compose::AfterAnError;
use dlstore_image::definition::{Compression, Layering, Said};
use dlstore_ingest::KeepSources;
use dlstore_oci::Takeover;
use dlstore_oci::delivery::Manner;
use dlstore_oci::output::{Output as Place, Tags};
use dlstore_store::{Depth, GcOptions, Leftover, Network, Part, Sharing, SourcePolicy};

impl Global {
    /// Says how much is said.
    pub(super) const fn loudness(&self) -> Loudness {
        match (self.quiet, self.verbose) {
            (true, _) => Loudness::Quiet,
            (_, 0) => Loudness::Normal,
            _ => Loudness::Verbose,
        }
    }

    /// Says where the store lies, when anything says it.
    pub(super) fn store_path(&self) -> Option<PathBuf> {
        self.store.clone().or_else(|| dlstore_store::default_root(|name| std::env::var_os(name)))
    }

    /// Says whether a store may belong to another user.
    pub(super) fn sharing(&self) -> Sharing {
        let is_said = || std::env::var_os("DLSTORE_TRUST_OWNER").is_some_and(|value| value == "1");
        if self.trust_owner || is_said() { Sharing::Group } else { Sharing::Private }
    }

    /// Says whether a CI service runs this: all of them set the variable, and people who do not want it say `false`.
    #[expect(clippy::unused_self, reason = "what the environment says is asked of what holds for all commands")]
    pub(super) fn is_ci(&self) -> bool {
        std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
    }

    /// Gives what the environment wants logged; `-q` is asked for more than that.
    pub(super) fn log_directives(&self) -> Option<String> {
        let said = std::env::var_os(log::VARIABLE).filter(|said| !self.quiet && !said.is_empty());
        said.map(|said| said.to_string_lossy().into_owned())
    }

    /// Gives how many threads work, when it is said. More than two for each processor would only hold memory.
    pub(super) fn threads(&self) -> Option<usize> {
        let most = std::thread::available_parallelism().map_or(8, |threads| (threads.get() * 2).max(8));
        self.jobs.map(|jobs| usize::from(jobs).min(most))
    }
}

impl AddArgs {
    pub(super) fn settings(&self) -> add::Settings {
        add::Settings {
            current: std::env::current_dir().ok(),
            paths: self.paths.clone(),
            keep_sources: if self.no_keep_sources { KeepSources::No } else { KeepSources::Yes },
            max_size: self.max_size,
        }
    }
}

impl NeedsArgs {
    pub(super) fn settings(&self) -> needs::Settings {
        needs::Settings { binaries: self.binaries.clone(), from: self.from.clone() }
    }
}

impl ProjectArgs {
    pub(super) fn settings(&self) -> Result<request::Project, Error> {
        let current = std::env::current_dir().map_err(Error::Current)?;
        Ok(request::Project { current, named: self.project.clone() })
    }
}

impl FromArgs {
    pub(super) fn settings(&self) -> Result<request::Settings, Error> {
        Ok(request::Settings {
            project: self.project.settings()?,
            architectures: self.arch.clone(),
            from: self.from.clone(),
            layering: self.layers.map(|layers| match layers {
                LayersArg::Grouped => Layering::Grouped,
                LayersArg::Package => Layering::Package,
                LayersArg::Flat => Layering::Flat,
            }),
            compression: self.compression.map(|compression| match compression {
                CompressionArg::Gzip => Compression::Gzip,
                CompressionArg::Zstd => Compression::Zstd,
            }),
        })
    }
}

impl ComposeArgs {
    pub(super) fn settings(&self, out: &Output) -> Result<compose::Settings, Error> {
        let outputs: Vec<Place> = self.output.iter().map(|text| Place::parse(text)).collect::<Result<_, _>>()?;
        self.check_stdout(&outputs)?;
        let loader = self.load.as_deref().map(str::parse).transpose()?;
        let environment = || -> Vec<(OsString, OsString)> { std::env::vars_os().collect() };
        Ok(compose::Settings {
            images: match (self.all, self.all_flavors) {
                (false, _) => compose::Images::Named(self.images.clone()),
                (true, false) => compose::Images::All,
                (true, true) => compose::Images::AllFlavors,
            },
            after: if self.keep_going { AfterAnError::GoOn } else { AfterAnError::Stop },
            image: self.from.settings()?,
            outputs,
            load: loader.map(|loader| compose::Load { loader, environment: environment() }),
            said: Said::parse(&self.label, &self.annotation, &self.env).map_err(Error::Usage)?,
            tags: self.tag.iter().map(|text| tag(text)).collect::<Result<_, _>>()?,
            how_many: if self.all_tags { Tags::All } else { Tags::First },
            manner: Manner {
                placement: if self.copy { Placement::Copy } else { Placement::Link },
                takeover: if self.force { Takeover::Forced } else { Takeover::Refused },
                has_arch_tags: self.arch_tags,
            },
            stdout: Mutex::new(Box::new(std::io::stdout())),
            date: date(out, self.date)?,
        })
    }

    /// Refuses what does not go together with an archive on stdout.
    fn check_stdout(&self, outputs: &[Place]) -> Result<(), Error> {
        let refused = |message: String| Err(Error::Usage(message));
        let mut archives = outputs.iter().filter(|output| output.is_stdout());
        let Some(archive) = archives.next() else { return Ok(()) };
        if archives.next().is_some() {
            return refused("only one output can go to stdout".to_owned());
        }
        if self.json {
            return refused(format!("output \"{archive}\" and --json cannot both go to stdout"));
        }
        if std::io::stdout().is_terminal() {
            return refused(format!("output \"{archive}\" would write an archive to the terminal"));
        }
        Ok(())
    }
}

/// Reads what an image is called.
fn tag(text: &str) -> Result<Tag, Error> {
    text.parse().map_err(|error| Error::Usage(format!("--tag: {error}")))
}

/// Gives the date of `created` when the environment says it.
fn date(out: &Output, from: DateFrom) -> Result<Option<u64>, Error> {
    const VARIABLE: &str = "SOURCE_DATE_EPOCH";
    match (from, std::env::var(VARIABLE).ok()) {
        (DateFrom::Env, Some(value)) => {
            let wrong = || Error::Usage(format!("{VARIABLE}={value:?} is not a number of seconds"));
            let seconds = value.parse().map_err(|_| wrong())?;
            out.note("--date env sets `created`, and with it the digest");
            Ok(Some(seconds))
        }
        (DateFrom::Env, None) => Err(Error::Usage(format!("--date env needs {VARIABLE} to be set"))),
        (DateFrom::Packages, Some(_)) => {
            out.note(&format!("{VARIABLE} is ignored: dates come from the packages (--date env uses it)"));
            Ok(None)
        }
        (DateFrom::Packages, None) => Ok(None),
    }
}

impl InitArgs {
    pub(super) fn settings(&self) -> init::Settings {
        init::Settings {
            sharing: if self.shared.is_some() { Sharing::Group } else { Sharing::Private },
            group: self.shared.clone().filter(|name| !name.is_empty()),
            network: if self.network_file_system { Network::Force } else { Network::Refuse },
        }
    }
}

impl VerifyArgs {
    pub(super) fn settings(&self) -> Result<verify::Settings, Error> {
        Ok(verify::Settings {
            depth: if self.full || self.repair { Depth::Full } else { Depth::Quick },
            part: self.part.as_deref().map(part).transpose()?,
            repair: self.repair,
        })
    }
}

/// Reads `n/m`.
fn part(text: &str) -> Result<Part, Error> {
    let parsed = text.split_once('/').and_then(|(n, m)| Some((n.parse::<u32>().ok()?, m.parse::<u32>().ok()?)));
    match parsed {
        Some((number, count)) if (1..=count).contains(&number) => Ok(Part { number, count }),
        _ => Err(Error::Usage(format!("--part must be N/M with 1 <= N <= M, not {text:?}"))),
    }
}

impl GcArgs {
    pub(super) const fn mode(&self) -> gc::Mode {
        if self.dry_run { gc::Mode::DryRun } else { gc::Mode::Collect }
    }

    pub(super) fn options(&self) -> GcOptions {
        let leftover = |goes| if goes { Leftover::Remove } else { Leftover::Keep };
        GcOptions {
            grace: self.grace,
            older_than: self.older_than,
            keep_free: self.keep_free,
            max_freed: self.max_freed,
            sources: if self.drop_sources { SourcePolicy::Drop } else { SourcePolicy::Keep },
            orphan_sources: leftover(self.orphan_sources),
            quarantine: leftover(self.quarantine),
            ..GcOptions::new(now())
        }
    }
}

/// The time, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
