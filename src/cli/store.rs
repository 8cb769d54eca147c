//! `dlstore store`: look at and look after the store.
//!
//! Plans are made by the store and only printed here. `verify` and `rebuild` are modules of their own.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::Usage;
use super::init::{self, InitArgs};
use super::output::{Output, count, size};
use super::show::find;
use super::{Global, quantity};
use super::{rebuild, verify};
use dlstore_store::{Access, GcOptions, GcPlan, Leftover, ObjectRef, PackageRecord, SourcePolicy};

/// What the names of roots begin with that the program sets itself.
const OWN_ROOTS: [&str; 2] = ["image/", "package/"];

/// The commands below `store`.
#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Make a store for a group, or on a file system that other hosts see
    Init(InitArgs),
    /// Say where the store lies, what it holds, and what that costs
    Info {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the store: the index, files and sizes, with --full every byte
    Verify(verify::VerifyArgs),
    /// Make the index anew from the kept packages, when it is lost
    Rebuild(rebuild::RebuildArgs),
    /// Collect what nothing keeps
    Gc(GcArgs),
    /// What keeps things from being collected
    #[command(subcommand)]
    Roots(RootsCommand),
}

/// What `store gc` is told.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct GcArgs {
    /// Print what would be collected, and collect nothing
    #[arg(long)]
    dry_run: bool,
    /// Let go of roots that were last used longer ago than this: 7d, 12h; a number alone is days
    #[arg(long, value_name = "TIME", value_parser = quantity::days)]
    older_than: Option<Duration>,
    /// Keep what is younger than this: 90m, 30s; a number alone is seconds
    #[arg(long, value_name = "TIME", value_parser = quantity::seconds, default_value = "1h")]
    grace: Duration,
    /// Stop when so much is free on the file system: 10GB, 10GiB; a number alone is bytes
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    keep_free: Option<u64>,
    /// Stop when so much was freed: 10GB, 10GiB; a number alone is bytes
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    max_freed: Option<u64>,
    /// Drop the kept package files too, where nothing else needs them
    #[arg(long)]
    drop_sources: bool,
    /// Remove files in sources/ too that the index does not know: after `store rebuild` nothing needs them
    #[arg(long)]
    orphan_sources: bool,
    /// Empty the quarantine
    #[arg(long)]
    quarantine: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The commands below `store roots`.
#[derive(Subcommand)]
pub(super) enum RootsCommand {
    /// List the roots
    List {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a package or image under a name of your own
    Add {
        /// The name of the root
        name: String,
        /// A package as `show` takes it, or the name of another root
        what: String,
    },
    /// Let go of roots
    Remove {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

pub(super) fn run(global: &Global, out: &Output, command: &StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Init(arguments) => init::run(global, out, arguments),
        StoreCommand::Info { json } => info(global, out, *json),
        StoreCommand::Verify(arguments) => verify::run(global, out, arguments),
        StoreCommand::Rebuild(arguments) => rebuild::run(global, out, arguments),
        StoreCommand::Gc(arguments) => gc(global, out, arguments),
        StoreCommand::Roots(command) => roots(global, out, command),
    }
}

fn info(global: &Global, out: &Output, as_json: bool) -> anyhow::Result<ExitCode> {
    let store = global.open(Access::Existing)?;
    let info = store.info()?;
    if as_json {
        out.json(json!({
            "path": store.root().display().to_string(),
            "packages": info.packages, "sources": info.sources, "trees": info.trees, "packs": info.packs,
            "actions": info.actions, "blobs": info.blobs, "roots": info.roots,
            "logical_size": info.logical, "unique_size": info.unique, "packed_raw_size": info.packed_raw,
            "pack_files_size": info.pack_files, "source_files_size": info.source_files,
            "index_size": info.index_files, "stored_size": info.stored,
            "facts": info.facts, "dead_stages_size": info.dead_stages, "reserve_size": info.reserve,
            "quarantined": info.quarantined, "quarantined_size": info.quarantine, "damaged": info.damaged,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = [
        ("store", store.root().display().to_string()),
        ("logical", format!("{} in {}", size(info.logical), plural(info.packages, "package"))),
        ("unique", size(info.unique)),
        (
            "stored",
            format!(
                "{}: {} in {}, {} of sources, {} of index",
                size(info.stored),
                size(info.pack_files),
                plural(info.packs, "pack"),
                size(info.source_files),
                size(info.index_files)
            ),
        ),
        ("left", format!("{} by killed commands, {} in quarantine", size(info.dead_stages), size(info.quarantine))),
        ("roots", info.roots.to_string()),
        ("damaged", info.damaged.to_string()),
    ];
    for (name, value) in rows {
        out.result(&format!("{name:<8} {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn plural(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

/// Names an object for people: its kind and the beginning of its key.
fn name(object: &ObjectRef) -> String {
    format!("{} {}", object.kind().name(), dlstore_model::digest::to_hex(object.key()))
}

fn gc(global: &Global, out: &Output, arguments: &GcArgs) -> anyhow::Result<ExitCode> {
    let store = global.open(Access::Existing)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let options = GcOptions {
        grace: arguments.grace,
        older_than: arguments.older_than,
        keep_free: arguments.keep_free,
        max_freed: arguments.max_freed,
        sources: if arguments.drop_sources { SourcePolicy::Drop } else { SourcePolicy::Keep },
        orphan_sources: if arguments.orphan_sources { Leftover::Remove } else { Leftover::Keep },
        quarantine: if arguments.quarantine { Leftover::Remove } else { Leftover::Keep },
        ..GcOptions::new(now)
    };
    let plan = store.plan_gc(&options)?;
    if arguments.dry_run {
        return dry_run(out, &plan, arguments.json);
    }
    let report = store.execute_gc(&plan)?;
    if arguments.json {
        out.json(json!({
            "leases": report.leases, "roots": report.roots, "objects": report.objects,
            "files": report.files, "freed_size": report.freed,
            "findings": report.findings.iter()
                .map(|one| json!({"kind": one.kind.name(), "detail": one.detail})).collect::<Vec<_>>(),
        }))?;
    } else {
        for one in &report.findings {
            out.result(&format!("{}: {}", one.kind.name(), one.detail))?;
        }
        out.say(&format!(
            "collected {} and {}, {} freed",
            plural(report.objects, "object"),
            plural(report.files, "file"),
            size(report.freed)
        ));
    }
    Ok(ExitCode::from(u8::from(!report.findings.is_empty())))
}

fn dry_run(out: &Output, plan: &GcPlan, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        let roots: Vec<_> = plan.roots.iter().map(|root| json!({"name": root.name, "used_at": root.used_at})).collect();
        let objects: Vec<_> =
            plan.objects.iter().map(|one| json!({"object": name(&one.object), "size": one.bytes})).collect();
        let files = |list: &[dlstore_store::Orphan]| -> Vec<_> {
            list.iter().map(|one| json!({"path": one.path, "size": one.bytes})).collect()
        };
        let (orphans, quarantined) = (files(&plan.orphans), files(&plan.quarantined));
        out.json(json!({
            "leases": plan.leases, "staged_size": plan.staged, "roots": roots, "objects": objects,
            "orphans": orphans, "quarantined": quarantined, "dead": plan.dead, "kept": plan.kept, "freed_size": plan.freed,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for root in &plan.roots {
        out.result(&format!("root {}", root.name))?;
    }
    for one in &plan.objects {
        out.result(&format!("{} {}", name(&one.object), size(one.bytes)))?;
    }
    for one in &plan.orphans {
        out.result(&format!("orphan {} {}", one.path, size(one.bytes)))?;
    }
    for one in &plan.quarantined {
        out.result(&format!("quarantined {} {}", one.path, size(one.bytes)))?;
    }
    if plan.staged > 0 {
        out.result(&format!("left by killed commands {}", size(plan.staged)))?;
    }
    out.say(&format!(
        "would collect {} ({} stay), {} freed",
        count(plan.objects.len(), "object"),
        plan.kept,
        size(plan.freed)
    ));
    Ok(ExitCode::SUCCESS)
}

fn roots(global: &Global, out: &Output, command: &RootsCommand) -> anyhow::Result<ExitCode> {
    let store = global.open(Access::Existing)?;
    match command {
        RootsCommand::List { json } => {
            let roots = store.roots()?;
            if *json {
                let rows: Vec<_> = roots
                    .iter()
                    .map(|root| {
                        let keeps: Vec<_> = root.targets.iter().map(name).collect();
                        json!({"name": root.name, "set_at": root.set_at, "used_at": root.used_at, "keeps": keeps})
                    })
                    .collect();
                out.json(json!({"roots": rows}))?;
            } else {
                for root in roots {
                    out.result(&root.name)?;
                }
            }
        }
        RootsCommand::Add { name, what } => {
            if let Some(own) = OWN_ROOTS.iter().find(|own| name.starts_with(**own)) {
                let message = format!("names that begin with {own} are those of `add` and `compose`: choose another");
                return Err(Usage(message).into());
            }
            let mut targets = store.root_target(what)?.unwrap_or_default();
            if targets.is_empty() {
                targets = find(&store, what)?.iter().map(PackageRecord::object).collect();
            }
            if targets.is_empty() {
                anyhow::bail!("no package or root is named {what} (`dlstore store roots list` lists the roots)");
            }
            store.set_root(name, &targets)?;
            out.say(&format!("{name} keeps {}", count(targets.len(), "object")));
        }
        RootsCommand::Remove { names } => {
            for name in names {
                if !store.remove_root(name)? {
                    anyhow::bail!("there is no root {name}");
                }
            }
            out.say(&format!("removed {}", count(names.len(), "root")));
        }
    }
    Ok(ExitCode::SUCCESS)
}
