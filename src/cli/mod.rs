//! The command line: what was typed, what is printed, and how it ends.
//!
//! ```text
//! args ► settings ► crate::command ► report ► stdout
//!                        └► progress, log ► stderr        exit: codes, causes, hints
//! ```
//! stdout is the result, stderr is for people. Use cases know nothing of this: they take settings and give reports.

mod args;
mod exit;
mod log;
mod output;
mod progress;
mod quantity;
mod refuse;
mod report;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser as _;

use crate::command;
use crate::command::context::Context;
use args::store::{RootsCommand, StoreCommand};
use args::{Cli, Command, Global};
use output::Output;
use progress::Console;

/// Runs the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Where that fails, a limit on file sizes ends the program as it ends others.
    let _ = dlstore_fsx::process::settle();
    let begun = Instant::now();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse::refuse(&error, &arguments),
    };
    let out = Output::new(cli.global.loudness());
    let store = cli.global.store_path();
    let result = begin(&cli.global, &out).and_then(|()| {
        let context = Context {
            store: store.clone(),
            sharing: cli.global.sharing(),
            listener: Arc::new(Console::new(&cli.global, &out)),
        };
        run(&context, &out, &cli.command, begun)
    });
    result.unwrap_or_else(|error| exit::end(&out, &*error, store.as_deref(), cli.command.has_json()))
}

/// Sets up what holds for the whole process: what is logged, and how many threads work.
fn begin(global: &Global, out: &Output) -> anyhow::Result<()> {
    if !global.quiet {
        log::begin(global.verbose, global.log_directives().as_deref(), out.has_color())?;
    }
    if let Some(threads) = global.threads() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        if pool.build_global().is_err() {
            out.note("the number of threads could not be set");
        }
    }
    Ok(())
}

fn run(context: &Context, out: &Output, command: &Command, begun: Instant) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(arguments) => {
            let report = command::add::run(context, &arguments.settings())?;
            report::add::print(out, &report, arguments.json, begun)
        }
        Command::Compose(arguments) if arguments.dry_run => {
            let report = command::compose::plan::run(context, &arguments.settings(out)?)?;
            report::compose::print_plan(out, &report, arguments.json, context.store.as_deref())
        }
        Command::Compose(arguments) => {
            let report = command::compose::run(context, &arguments.settings(out)?)?;
            report::compose::print(out, &report, arguments.json, begun, context.store.as_deref())
        }
        Command::List(arguments) if arguments.images => {
            report::list::images(out, &command::list::images(&arguments.project.settings()?), arguments.json)
        }
        Command::List(arguments) => {
            let report = command::list::packages(context, arguments.name.as_deref())?;
            report::list::packages(out, &report, arguments.name.as_deref(), arguments.json)
        }
        Command::Show(arguments) => {
            let report = command::show::run(
                context,
                &arguments.project.settings()?,
                arguments.arch.as_deref(),
                &arguments.what,
            )?;
            report::show::print(out, &report, arguments.json)
        }
        Command::Files(arguments) => {
            let report = command::files::run(context, &arguments.from.settings()?, &arguments.what)?;
            report::files::print(out, &report, arguments.json)
        }
        Command::Tree(arguments) => {
            let report = command::tree::run(context, &arguments.from.settings()?, &arguments.what, arguments.depth)?;
            report::files::draw_all(out, &report, arguments.json)
        }
        Command::Diff(arguments) => {
            let settings = arguments.from.settings()?;
            let report = command::diff::run(context, &settings, &arguments.old, &arguments.new)?;
            report::diff::print(out, &report, arguments.json, arguments.exit_code)
        }
        Command::Needs(arguments) => {
            let report = command::needs::run(context, &arguments.settings())?;
            report::needs::print(out, &report, arguments.json, context.store.as_deref())
        }
        Command::Store(command) => store(context, out, command),
        Command::Completions { shell } => report::shell::completions(out, *shell),
        Command::Man { command } => report::shell::manual(out, command),
    }
}

fn store(context: &Context, out: &Output, command: &StoreCommand) -> anyhow::Result<ExitCode> {
    use command::store::{gc, info, init, rebuild, verify};
    match command {
        StoreCommand::Init(arguments) => {
            report::store::init(out, &init::run(context, &arguments.settings())?, arguments.json)
        }
        StoreCommand::Info { json } => report::store::info(out, &info::run(context)?, *json),
        StoreCommand::Verify(arguments) => {
            report::store::verify(out, &verify::run(context, &arguments.settings()?)?, arguments.json)
        }
        StoreCommand::Rebuild { json } => report::store::rebuild(out, &rebuild::run(context)?, *json),
        StoreCommand::Gc(arguments) => {
            report::store::gc(out, &gc::run(context, &arguments.options(), arguments.mode())?, arguments.json)
        }
        StoreCommand::Roots(command) => roots(context, out, command),
    }
}

fn roots(context: &Context, out: &Output, command: &RootsCommand) -> anyhow::Result<ExitCode> {
    use crate::command::store::roots;
    match command {
        RootsCommand::List { json } => report::store::roots(out, &roots::list(context)?, *json),
        RootsCommand::Add { name, what, json } => {
            report::store::root_added(out, &roots::add(context, name, what)?, *json)
        }
        RootsCommand::Remove { names, json } => {
            report::store::roots_removed(out, &roots::remove(context, names)?, *json)
        }
    }
}
