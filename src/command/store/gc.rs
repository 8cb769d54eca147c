//! Collecting what nothing keeps: a plan, and what came of it.
//!
//! The clock enters with the options. A dry run is the plan, printed; what is done is reported as it was done.

use serde::{Serialize, Serializer};

use super::{Finding, Named};
use crate::command::context::Context;
use crate::command::error::Error;
use crate::command::value::{self, Date, Text};
use dlstore_store::{Access, Doomed, GcOptions, GcPlan, GcReport, Kind, Orphan, Store};

/// Whether it is done, or only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is done.
    Collect,
    /// It is said what would be.
    DryRun,
}

/// What came of it.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Report {
    /// What was done.
    Collected(Collected),
    /// What would be done.
    Planned(Planned),
}

/// What was collected.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Collected {
    /// The store's directory.
    pub(crate) store: String,
    /// How many leases of dead commands were removed.
    pub(crate) leases: u64,
    /// How many roots were removed because of their age.
    pub(crate) roots: u64,
    /// How many objects were removed.
    pub(crate) objects: u64,
    /// How many files were removed.
    pub(crate) files: u64,
    /// Bytes that are free now.
    pub(crate) freed_size: u64,
    /// What could not be removed.
    pub(crate) findings: Vec<Finding>,
    /// How many package files stay although they were to go: no layer of their packages is in the store, or they have to be
    /// read again.
    pub(crate) unused_sources: u64,
}

/// What would be collected.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Planned {
    /// Leases of dead commands.
    pub(crate) leases: Vec<String>,
    /// Bytes that dead commands left.
    pub(crate) staged_size: u64,
    /// Roots that would go because of their age.
    pub(crate) roots: Vec<OldRoot>,
    /// Objects that would go, in their order.
    #[serde(serialize_with = "doomed")]
    #[cfg_attr(test, schemars(with = "Vec<Object>"))]
    pub(crate) objects: Vec<Doomed>,
    /// Files that the index does not know.
    pub(crate) orphans: Vec<File>,
    /// Files that would go out of quarantine.
    pub(crate) quarantined: Vec<File>,
    /// How many objects an earlier collection left.
    pub(crate) dead: u64,
    /// How many objects stay.
    pub(crate) kept: u64,
    /// Bytes that would be free.
    pub(crate) freed_size: u64,
    /// Package files that were to go and that something needs.
    pub(crate) findings: Vec<Finding>,
    /// How many package files would stay: no layer of their packages is in the store, or they have to be read again.
    pub(crate) unused_sources: u64,
}

/// A root that would go.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OldRoot {
    /// Its name.
    pub(crate) name: String,
    /// When it was last used.
    pub(crate) used_at: Date,
}

/// An object that would go. It is made when it is written.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Object {
    /// Its kind and digest.
    object: Text<Named>,
    /// Bytes that its going frees.
    size: u64,
}

fn doomed<S: Serializer>(objects: &[Doomed], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(objects.iter().map(|one| Object { object: Text(Named(one.object)), size: one.bytes }))
}

/// A file that would go.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct File {
    /// Its path in the store.
    pub(crate) path: String,
    /// Its bytes.
    pub(crate) size: u64,
}

/// Collects, or says what would be.
///
/// # Errors
/// When there is no store, or it cannot be written to.
pub(crate) fn run(context: &Context, options: &GcOptions, mode: Mode) -> Result<Report, Error> {
    let store = context.open(Access::Existing)?;
    context.listener.begin("looking for what nothing keeps", 0);
    let plan = store.plan_gc(options);
    context.listener.end();
    let plan = plan?;
    Ok(match mode {
        Mode::DryRun => Report::Planned(planned(plan)),
        Mode::Collect => {
            context.listener.begin("deleting", plan.objects.len());
            let step = |kind: Kind, total: usize| context.listener.advance(kind.name(), total);
            let done = store.execute_gc_heard(&plan, &step);
            context.listener.end();
            Report::Collected(collected(&store, &done?))
        }
    })
}

fn collected(store: &Store, report: &GcReport) -> Collected {
    Collected {
        store: value::path(store.root()),
        leases: report.leases,
        roots: report.roots,
        objects: report.objects,
        files: report.files,
        freed_size: report.freed,
        findings: report.stays.findings.iter().chain(&report.findings).map(Finding::of).collect(),
        unused_sources: report.stays.unused.len() as u64,
    }
}

fn planned(plan: GcPlan) -> Planned {
    let files =
        |list: Vec<Orphan>| list.into_iter().map(|one| File { path: one.path, size: one.bytes }).collect::<Vec<_>>();
    let roots = plan.roots.into_iter().map(|root| OldRoot { name: root.name, used_at: Date(root.used_at) });
    Planned {
        leases: plan.leases,
        staged_size: plan.staged,
        roots: roots.collect(),
        objects: plan.objects,
        orphans: files(plan.orphans),
        quarantined: files(plan.quarantined),
        dead: plan.dead,
        kept: plan.kept,
        freed_size: plan.freed,
        findings: plan.stays.findings.iter().map(Finding::of).collect(),
        unused_sources: plan.stays.unused.len() as u64,
    }
}
