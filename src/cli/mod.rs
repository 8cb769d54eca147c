//! The command line: what was typed, what is printed, and how it ends.
//!
//! stdout is the result, stderr is for people. Errors are `error:` the sentence, `cause:` the chain,
//! `hint:` a command to type. Exit codes: 0 done, 1 failure, 2 usage, 130 interrupted.

mod add;
mod attempt;
mod compose;
mod diagnose;
mod failure;
mod files;
mod init;
mod list;
mod log;
mod needs;
mod output;
mod progress;
mod quantity;
mod rebuild;
mod request;
mod show;
mod store;
mod tree;
mod usage;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand, value_parser};

use dlstore_store::{Access, OpenOptions, Sharing, Store, StoreError};
use output::Output;
use usage::Usage;

/// Composes reproducible base images from Debian and Alpine packages.
#[derive(Parser)]
#[command(name = "dlstore", version, propagate_version = true, after_help = AFTER, after_long_help = AFTER_LONG)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "First steps:  dlstore compose static --arch all      (needs no package and no network)";

const AFTER_LONG: &str = "\
First steps:
  dlstore compose static --arch all          make the embedded `static` image for 8 architectures
  dlstore add ./debs                         add a folder of .deb and .apk files
  dlstore compose glibc-dynamic --arch all --from store

Exit codes:
  0 done    1 failure    2 usage    130 interrupted

The store lies in $DLSTORE_ROOT, else in the platform's data folder ($XDG_DATA_HOME/dlstore).";

/// Numbers of threads that can be asked for. Each takes memory for its stack and for a decoder, whether or
/// not there is a processor for it; no machine of today gains by more.
const JOBS: RangeInclusive<i64> = 1..=256;

/// Flags that every command understands.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The store's folder (default: `$DLSTORE_ROOT`, else the data folder of the platform)
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    store: Option<PathBuf>,
    /// Use a store that belongs to another user: its owner and the members of its group are trusted (also
    /// `DLSTORE_TRUST_OWNER=1`)
    #[arg(long, global = true, hide_short_help = true)]
    trust_owner: bool,
    /// Say less: only results and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more: a line for each package and layer; twice (-vv): each step, with the time
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// How progress is shown
    #[arg(long, global = true, value_name = "KIND", default_value = "auto", hide_short_help = true)]
    progress: progress::Kind,
    /// Threads to work with, 1 to 256 (default: as many as there are processors)
    #[arg(long, global = true, value_name = "N", hide_short_help = true, value_parser = value_parser!(u16).range(JOBS))]
    jobs: Option<u16>,
}

#[derive(Subcommand)]
enum Command {
    /// Add packages and folders to the store
    Add(add::AddArgs),
    /// Make images
    Compose(compose::ComposeArgs),
    /// List the packages and images that the store holds, and the images that can be made
    List(list::ListArgs),
    /// Show one package or image
    Show(show::ShowArgs),
    /// List the files of a package or of an image, with the origin of each
    Files(files::FilesArgs),
    /// Show a package or an image as a tree of folders with sizes
    Tree(tree::TreeArgs),
    /// Say what a program of your own needs at run time, and which image has it
    Needs(needs::NeedsArgs),
    /// Look at and look after the store
    #[command(subcommand)]
    Store(store::StoreCommand),
}

/// Runs the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Where that fails, a limit on file sizes ends the program as it ends others.
    let _ = dlstore_fsx::process::settle();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with 0, usage errors to stderr with 2; a closed pipe is fine.
            let text = error.render().to_string();
            let shown = output::harmless(&in_one_line(&text, &arguments));
            let printed = if shown == text { error.print() } else { write!(io::stderr().lock(), "{shown}") };
            let is_lost = printed.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
            return match u8::try_from(error.exit_code()).unwrap_or(2) {
                0 if is_lost => ExitCode::FAILURE,
                code => ExitCode::from(code),
            };
        }
    };
    let out = Output::new(&cli.global);
    if let Err(error) = cli.global.begin_log(&out) {
        return failure::report(&out, &error.into(), None, "");
    }
    if let Some(jobs) = cli.global.jobs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(jobs).min(most_jobs()));
        if pool.build_global().is_err() {
            out.note("the number of threads could not be set");
        }
    }
    let result = match cli.command {
        Command::Add(arguments) => add::run(&cli.global, &out, &arguments),
        Command::Compose(arguments) => compose::run(&cli.global, &out, &arguments),
        Command::List(arguments) => list::run(&cli.global, &out, &arguments),
        Command::Show(arguments) => show::run(&cli.global, &out, &arguments),
        Command::Files(arguments) => files::run(&cli.global, &out, &arguments),
        Command::Tree(arguments) => tree::run(&cli.global, &out, &arguments),
        Command::Needs(arguments) => needs::run(&cli.global, &out, &arguments),
        Command::Store(command) => store::run(&cli.global, &out, &command),
    };
    match result {
        Ok(code) => code,
        Err(error) => failure::report(&out, &error, cli.global.store_path().ok().as_deref(), ""),
    }
}

/// Joins the lines that an argument has in a text that quotes it. What was typed may be the name of a file
/// that a shell put in, and no name begins a line.
fn in_one_line(text: &str, arguments: &[OsString]) -> String {
    let mut text = text.to_owned();
    for argument in arguments {
        for line in argument.to_string_lossy().split('\n').skip(1).filter(|line| !line.is_empty()) {
            text = text.replace(&format!("\n{line}"), &format!("\\u{{a}}{line}"));
        }
    }
    text
}

impl Global {
    /// Begins to print what is going on, as far as somebody asked for it. `-q` is asked for more than the environment.
    fn begin_log(&self, out: &Output) -> Result<(), Usage> {
        if self.quiet {
            return Ok(());
        }
        let said = std::env::var_os(log::VARIABLE).filter(|said| !said.is_empty());
        let said = said.map(|said| said.to_string_lossy().into_owned());
        log::begin(self.verbose, said.as_deref(), out.has_color())
    }

    /// Says where the store lies.
    fn store_path(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.store {
            return Ok(path.clone());
        }
        dlstore_store::default_root(|name| std::env::var_os(name))
            .ok_or_else(|| anyhow::anyhow!("no place for the store: set DLSTORE_ROOT, XDG_DATA_HOME or HOME"))
    }

    /// Opens the store.
    fn open(&self, access: Access) -> anyhow::Result<Store> {
        let path = self.store_path()?;
        let store = match Store::open_with(&path, self.existing()) {
            // Trusting another's store says nothing about one that is made now.
            Err(StoreError::Absent(_)) if access == Access::Create => Store::open(&path, access)?,
            outcome => outcome?,
        };
        let out = Output::new(self);
        for warning in store.warnings() {
            out.note(&warning.to_string());
        }
        store.when_waiting(move |sentence| out.note(sentence));
        Ok(store)
    }

    /// Says how to open a store that is there.
    fn existing(&self) -> OpenOptions {
        let trusts = self.trust_owner || std::env::var_os("DLSTORE_TRUST_OWNER").is_some_and(|value| value == "1");
        let sharing = if trusts { Sharing::Group } else { Sharing::Private };
        OpenOptions { sharing, ..OpenOptions::new(Access::Existing) }
    }

    /// Opens the store if there is one.
    fn open_if_there(&self) -> anyhow::Result<Option<Store>> {
        match self.open(Access::Existing) {
            Ok(store) => Ok(Some(store)),
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::Absent(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Gives the most threads that work at once: more would only hold memory, whatever is asked for.
fn most_jobs() -> usize {
    std::thread::available_parallelism().map_or(8, |threads| (threads.get() * 2).max(8))
}
