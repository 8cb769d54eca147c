//! Drafting: what a collection would do, found out from the index, the journal and the files. Nothing is changed.
//!
//! What could go is chosen out of the graph of all objects (`gc`). Of that, what only seems to be kept by nobody is
//! spared (`spare`), and so are sources that something cannot be had without (`needed`), so that a bound on what is
//! freed is spent on what really goes.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Stays;
use super::gc::{
    Doomed, DroppedRoot, GcOptions, GcPlan, Leftover, Orphan, SourcePolicy, choose, choose_most, in_order, total, weigh,
};
use super::spare::{Going, spare};
use super::{Inner, Store, StoreError};
use crate::index::{Age, Counters, LeaseName, ObjectNode, Reader, State};
use dlstore_fsx::place;

/// The part of a plan that comes from the index.
struct Draft {
    roots: Vec<DroppedRoot>,
    objects: Vec<Doomed>,
    unborn_rows: Vec<i64>,
    is_miscounted: bool,
    dead: u64,
    kept: u64,
    stays: Stays,
}

/// The part of a plan that needs no look at who refers to what.
struct Beside {
    unused: Vec<i64>,
    orphans: Vec<Orphan>,
    quarantined: Vec<Orphan>,
}

impl Store {
    /// Finds out what a collection would do. Changes nothing, and holds no lock.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn plan_gc(&self, options: &GcOptions) -> Result<GcPlan, StoreError> {
        let store = &self.0;
        let leases = store.dead_leases()?;
        let staged = store.staged(&leases)?;
        let room = match options.keep_free {
            Some(wanted) => Some(wanted.saturating_sub(place::available(&store.layout.root)?)),
            None => None,
        };
        let most = [room, options.max_freed].into_iter().flatten().min();
        let kept =
            |going: &Going<'_>, dropped: &BTreeSet<&str>| store.named_in_journal(|object| going.find(object), dropped);
        let needed = |reader: &Reader<'_>, going: &[(u32, ObjectNode)], dropped: &BTreeSet<&str>| match options.sources
        {
            SourcePolicy::Keep => Ok(Default::default()),
            SourcePolicy::Drop => store.still_needed(reader, going, dropped),
        };
        // Before the graph, which takes the room that this gives back.
        let is_miscounted = store.index.snapshot(|reader| {
            let counted = reader.counted_beside()?;
            Ok::<_, StoreError>(reader.counters()?.beside_objects() != counted.counters || counted.is_content_wrong)
        })?;
        let (draft, beside) = rayon::join(
            || store.index.snapshot(|reader| draft(reader, options, &leases, most, &kept, &needed)),
            || store.beside(options),
        );
        let (draft, beside) = (draft?, beside?);
        let files = total(beside.orphans.iter().chain(&beside.quarantined).map(|orphan| orphan.bytes));
        Ok(GcPlan {
            leases: leases.iter().map(ToString::to_string).collect(),
            staged,
            roots: draft.roots,
            sources: options.sources,
            freed: total([staged, files].into_iter().chain(draft.objects.iter().map(|doomed| doomed.bytes))),
            objects: draft.objects,
            orphans: beside.orphans,
            quarantined: beside.quarantined,
            unborn: draft.unborn_rows.len() as u64,
            miscounted: draft.is_miscounted || is_miscounted,
            dead: draft.dead,
            kept: draft.kept,
            stays: draft.stays,
            now: options.now,
            unborn_rows: draft.unborn_rows,
            unused: beside.unused,
        })
    }
}

/// Of objects that go and beside roots that go, gives those that the journal says are kept.
type Kept<'k> = &'k dyn Fn(&Going<'_>, &BTreeSet<&str>) -> Result<BTreeSet<u32>, StoreError>;

/// Of sources that go and beside roots that go, gives the places of those that something needs, and says what.
type Needed<'n> =
    &'n dyn Fn(&Reader<'_>, &[(u32, ObjectNode)], &BTreeSet<&str>) -> Result<(BTreeSet<u32>, Stays), StoreError>;

fn draft(
    reader: &Reader<'_>,
    options: &GcOptions,
    leases: &BTreeSet<LeaseName>,
    most: Option<u64>,
    kept: Kept<'_>,
    needed: Needed<'_>,
) -> Result<Draft, StoreError> {
    let graph = reader.graph(options.now, options.grace.as_secs())?;
    let (dropped, chosen) = choose(&graph, options, leases, &[]);
    let mut roots = Vec::with_capacity(dropped.len());
    for id in dropped {
        roots.extend(reader.root_by_id(id)?.map(|(name, used_at)| DroppedRoot { name, used_at }));
    }
    roots.sort_by(|a, b| a.name.cmp(&b.name));
    let mut going: Vec<(u32, ObjectNode)> = Vec::with_capacity(chosen.len());
    for place in in_order(&graph, &chosen) {
        going.extend(reader.node(graph.id(place))?.map(|node| (place, node)));
    }
    let names: BTreeSet<&str> = roots.iter().map(|root| root.name.as_str()).collect();
    let choose = |kept: &[u32]| choose(&graph, options, leases, kept).1;
    spare(reader, &graph, &mut going, options.sources, &|going| kept(going, &names), choose)?;
    let (places, stays) = needed(reader, &going, &names)?;
    going.retain(|(place, _)| !places.contains(place));
    if let Some(most) = most {
        going = choose_most(&graph, going, most);
    }
    let all = 0..u32::try_from(graph.len()).unwrap_or(u32::MAX);
    let mut counts = BTreeMap::new();
    for node in all.clone().map(|at| graph.node(at)) {
        *counts.entry((i64::from(node.kind), node.state as i64)).or_insert(0) += 1;
    }
    let total = graph.len() as u64;
    let dead = all.clone().filter(|at| graph.node(*at).state == State::Dead).count() as u64;
    let unborn = all.filter(|at| graph.node(*at).age == Age::Future && graph.node(*at).state != State::Dead);
    let unborn_rows = unborn.map(|at| graph.id(at)).collect();
    // The lists of half a million that go need its room.
    drop(graph);
    let goes: BTreeSet<i64> = going.iter().map(|(_, node)| node.id).collect();
    let mut used = BTreeMap::new();
    for file in going.iter().filter_map(|(_, node)| node.file) {
        if let std::collections::btree_map::Entry::Vacant(entry) = used.entry(file) {
            entry.insert(reader.is_used_by_others(file, |id| goes.contains(&id))?);
        }
    }
    drop(goes);
    let objects = weigh(going.iter().map(|(_, node)| node), &used);
    Ok(Draft {
        roots,
        unborn_rows,
        dead,
        kept: total - dead - objects.len() as u64,
        objects,
        stays,
        is_miscounted: reader.counters()?.of_objects() != Counters::counting(counts),
    })
}

impl Inner {
    fn beside(&self, options: &GcOptions) -> Result<Beside, StoreError> {
        let unused = self.index.read(|reader| Ok::<_, StoreError>(reader.unused_files(u32::MAX)?))?;
        let orphans = self.old_orphans(options)?;
        let quarantined = match options.quarantine {
            Leftover::Keep => Vec::new(),
            Leftover::Remove => self.quarantined()?,
        };
        Ok(Beside { unused: unused.into_iter().map(|row| row.id).collect(), orphans, quarantined })
    }
}
