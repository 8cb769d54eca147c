//! The plan of a collection: plain data, made by a pure function, printable before it is done.
//!
//! What can be reached from roots, from what living leases hold, and from *young* objects stays.
//! Youth counts as a root and not per object: an old tree below a young package must stay, or live
//! objects would refer to dead ones. The rest is doomed.
//!
//! A plan may be outdated when it is carried out. Therefore everything that is not in the plan counts
//! as a root then: the plan is the most that can go, and never touches what came after it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ObjectRef;
use crate::index::{Graph, ObjectNode, State};

/// What may be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOptions {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// Objects younger than this stay.
    pub grace: Duration,
    /// Roots that were last used longer ago than this go.
    pub older_than: Option<Duration>,
    /// Collects only until so many bytes are free on the file system.
    pub keep_free: Option<u64>,
    /// Collects no more than about so many bytes: stops with the object that reaches it.
    pub max_freed: Option<u64>,
    /// What happens to the sources of packages.
    pub sources: SourcePolicy,
}

/// What happens to the sources of packages that stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePolicy {
    /// They stay with their packages.
    Keep,
    /// They go, rooted by themselves or not.
    Drop,
}

impl GcOptions {
    /// One hour: longer than the gap between two steps of a script, short enough to be forgotten.
    pub const GRACE: Duration = Duration::from_secs(3600);

    /// Collects what nothing can reach, an hour of grace, no bounds.
    #[must_use]
    pub const fn new(now: u64) -> Self {
        Self {
            now,
            grace: Self::GRACE,
            older_than: None,
            keep_free: None,
            max_freed: None,
            sources: SourcePolicy::Keep,
        }
    }
}

/// A root that goes because of its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedRoot {
    /// Its name.
    pub name: String,
    /// When it was last used; a root that was used again stays.
    pub used_at: u64,
}

/// An object that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doomed {
    /// Its name.
    pub object: ObjectRef,
    /// Bytes that its going frees; 0 when another object still lies in the same file.
    pub bytes: u64,
    pub(super) id: i64,
}

/// A file that no row knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its path below the store, for example `packs/<64 hex>`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

/// Everything that a collection would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcPlan {
    /// Leases of processes that are dead: their stages go and what they held is let go.
    pub leases: Vec<String>,
    /// Roots that go because of their age.
    pub roots: Vec<DroppedRoot>,
    /// What happens to sources.
    pub sources: SourcePolicy,
    /// Objects that go, in order of their rows.
    pub objects: Vec<Doomed>,
    /// Files that go because no row knows them.
    pub orphans: Vec<Orphan>,
    /// Dead objects that an earlier collection left: they go too.
    pub dead: u64,
    /// Objects that stay.
    pub kept: u64,
    /// Bytes that become free, as far as is known.
    pub freed: u64,
}

/// Chooses roots and objects that go; `most` bounds the freed bytes.
pub(super) fn choose(
    graph: &Graph,
    options: &GcOptions,
    dead_leases: &BTreeSet<String>,
    most: Option<u64>,
) -> (Vec<DroppedRoot>, Vec<Doomed>) {
    let is_old =
        |used_at: u64| options.older_than.is_some_and(|age| options.now.saturating_sub(used_at) > age.as_secs());
    let dropped = graph
        .roots
        .iter()
        .filter(|root| is_old(root.used_at))
        .map(|root| DroppedRoot { name: root.name.clone(), used_at: root.used_at });
    let is_young = |node: &ObjectNode| {
        node.state != State::Dead && options.now.saturating_sub(node.born) < options.grace.as_secs()
    };
    let of_package = match options.sources {
        SourcePolicy::Keep => vec![false; graph.objects.len()],
        SourcePolicy::Drop => sources_of_packages(graph),
    };
    let mut seeds: Vec<usize> = Vec::new();
    let rooted = graph.roots.iter().filter(|root| !is_old(root.used_at)).flat_map(|root| root.targets.iter());
    seeds.extend(rooted.filter_map(|id| graph.position(*id)).filter(|at| !of_package[*at]));
    let held = graph.held.iter().filter(|(lease, _)| !dead_leases.contains(lease));
    seeds.extend(held.filter_map(|(_, id)| graph.position(*id)));
    let young = graph.objects.iter().enumerate().filter(|(at, node)| is_young(node) && !of_package[*at]);
    seeds.extend(young.map(|(at, _)| at));
    let reached = reach(graph, seeds, |_, to| !of_package[to]);
    let unreached: Vec<usize> =
        (0..graph.objects.len()).filter(|at| !reached[*at] && graph.objects[*at].state != State::Dead).collect();
    let chosen = match most {
        None => unreached,
        Some(most) => choose_most(graph, unreached, most),
    };
    (dropped.collect(), weigh(graph, &chosen))
}

/// Says for each object whether a walk along the edges from `seeds` gets there.
pub(super) fn reach(graph: &Graph, mut seeds: Vec<usize>, may_go: impl Fn(usize, usize) -> bool) -> Vec<bool> {
    let mut reached = vec![false; graph.objects.len()];
    for at in &seeds {
        reached[*at] = true;
    }
    while let Some(at) = seeds.pop() {
        let id = graph.objects[at].id;
        let first = graph.edges.partition_point(|(src, _)| *src < id);
        for (_, dst) in graph.edges[first..].iter().take_while(|(src, _)| *src == id) {
            if let Some(to) = graph.position(*dst).filter(|to| !reached[*to] && may_go(at, *to)) {
                reached[to] = true;
                seeds.push(to);
            }
        }
    }
    reached
}

fn sources_of_packages(graph: &Graph) -> Vec<bool> {
    let mut of_package = vec![false; graph.objects.len()];
    for (src, dst) in &graph.edges {
        if let (Some(from), Some(to)) = (graph.position(*src), graph.position(*dst)) {
            let kinds = (graph.objects[from].object, graph.objects[to].object);
            of_package[to] |= matches!(kinds, (ObjectRef::Package(_), ObjectRef::Source(_)));
        }
    }
    of_package
}

/// Takes what lies in rows (it refers to the rest), then files, oldest first, until enough is freed.
fn choose_most(graph: &Graph, unreached: Vec<usize>, most: u64) -> Vec<usize> {
    if most == 0 {
        return Vec::new();
    }
    let (mut files, mut chosen): (Vec<usize>, Vec<usize>) =
        unreached.into_iter().partition(|at| graph.objects[*at].file.is_some());
    let mut freed: u64 = chosen.iter().map(|at| graph.objects[*at].size).sum();
    files.sort_by_key(|at| (graph.objects[*at].born, graph.objects[*at].id));
    for at in files {
        if freed >= most {
            break;
        }
        freed += graph.objects[at].size;
        chosen.push(at);
    }
    chosen.sort_unstable();
    chosen
}

/// Counts the bytes of a file with the last of those that go, if all that lie in it go.
fn weigh(graph: &Graph, chosen: &[usize]) -> Vec<Doomed> {
    let going: BTreeSet<usize> = chosen.iter().copied().collect();
    let stays = graph.objects.iter().enumerate().filter(|(at, node)| !going.contains(at) && node.state != State::Dead);
    let mut counted: BTreeSet<i64> = stays.filter_map(|(_, node)| node.file).collect();
    let mut doomed = Vec::with_capacity(chosen.len());
    for at in chosen {
        let node = &graph.objects[*at];
        let is_free = node.file.is_none_or(|file| counted.insert(file));
        doomed.push(Doomed { object: node.object, bytes: if is_free { node.size } else { 0 }, id: node.id });
    }
    doomed
}

/// Of what a plan dooms, gives the rows that nothing else reaches now.
pub(super) fn still_doomed(graph: &Graph, plan: &GcPlan) -> Vec<i64> {
    let mut is_candidate = vec![false; graph.objects.len()];
    for doomed in &plan.objects {
        if let Some(at) = graph.position(doomed.id) {
            is_candidate[at] = true;
        }
    }
    let others = (0..graph.objects.len()).filter(|at| !is_candidate[*at] && graph.objects[*at].state != State::Dead);
    let rooted = graph.roots.iter().flat_map(|root| root.targets.iter());
    let claimed = rooted.chain(graph.held.iter().map(|(_, id)| id)).filter_map(|id| graph.position(*id));
    let reached = reach(graph, others.chain(claimed).collect(), |_, _| true);
    let goes = |at: &usize| is_candidate[*at] && !reached[*at] && graph.objects[*at].state != State::Dead;
    (0..graph.objects.len()).filter(goes).map(|at| graph.objects[at].id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::RootNode;
    use dlstore_model::digest::{ActionKey, Digest, OciDigest};

    /// 1 source and 2 tree below 3 package (root `p`, used at 100); 4 and 5 packs in one file; 6 tree held.
    fn graph() -> Graph {
        let node = |id, object, born, size, file| ObjectNode { id, object, state: State::Live, born, size, file };
        let (sha, key) = (OciDigest::of(b""), |text: &[u8]| ActionKey::from_bytes(*Digest::of(text).as_bytes()));
        Graph {
            objects: vec![
                node(1, ObjectRef::Source(sha), 10, 1000, Some(1)),
                node(2, ObjectRef::Tree(Digest::of(b"a")), 10, 50, None),
                node(3, ObjectRef::Package(dlstore_model::digest::PackageKey::new(&sha, 1, "")), 10, 0, None),
                node(4, ObjectRef::Pack(key(b"4")), 20, 500, Some(2)),
                node(5, ObjectRef::Pack(key(b"5")), 90, 500, Some(2)),
                node(6, ObjectRef::Tree(Digest::of(b"b")), 10, 60, None),
            ],
            edges: vec![(3, 1), (3, 2)],
            roots: vec![RootNode { name: "p".into(), used_at: 100, targets: vec![3] }],
            held: vec![("lease".into(), 6)],
        }
    }

    fn doomed(options: &GcOptions, dead: &[&str], most: Option<u64>) -> Vec<(i64, u64)> {
        let dead = dead.iter().map(ToString::to_string).collect();
        choose(&graph(), options, &dead, most).1.iter().map(|doomed| (doomed.id, doomed.bytes)).collect()
    }

    #[test]
    fn what_nothing_reaches_goes_and_a_shared_file_counts_once() {
        let options = GcOptions { grace: Duration::ZERO, ..GcOptions::new(200) };
        assert_eq!(doomed(&options, &[], None), [(4, 500), (5, 0)]);
        assert_eq!(doomed(&options, &["lease"], None), [(4, 500), (5, 0), (6, 60)]);
        let half = GcOptions { grace: Duration::from_secs(120), ..options };
        assert_eq!(doomed(&half, &[], None), [(4, 0)], "pack 5 is young and lies in the same file");
    }

    #[test]
    fn old_roots_and_sources_go_when_asked() {
        let options = GcOptions { grace: Duration::ZERO, ..GcOptions::new(200) };
        let old = GcOptions { older_than: Some(Duration::from_secs(99)), ..options };
        assert_eq!(doomed(&old, &[], None), [(1, 1000), (2, 50), (3, 0), (4, 500), (5, 0)]);
        let recent = GcOptions { older_than: Some(Duration::from_secs(100)), ..options };
        assert_eq!(doomed(&recent, &[], None), [(4, 500), (5, 0)]);
        let dropped = GcOptions { sources: SourcePolicy::Drop, ..options };
        assert_eq!(doomed(&dropped, &[], None), [(1, 1000), (4, 500), (5, 0)]);
    }

    #[test]
    fn a_bound_takes_rows_first_and_then_the_oldest_files() {
        let options = GcOptions { grace: Duration::ZERO, ..GcOptions::new(200) };
        assert_eq!(doomed(&options, &["lease"], Some(0)), []);
        assert_eq!(doomed(&options, &["lease"], Some(61)), [(4, 0), (6, 60)]);
        let old = GcOptions { older_than: Some(Duration::ZERO), ..options };
        assert_eq!(doomed(&old, &[], Some(51)), [(1, 1000), (2, 50), (3, 0)]);
    }

    #[test]
    fn a_plan_never_takes_what_was_claimed_since() {
        let mut graph = graph();
        let options = GcOptions { grace: Duration::ZERO, older_than: Some(Duration::ZERO), ..GcOptions::new(200) };
        let (roots, objects) = choose(&graph, &options, &BTreeSet::from(["lease".into()]), None);
        let plan = GcPlan {
            leases: vec!["lease".into()],
            roots,
            sources: SourcePolicy::Keep,
            objects,
            orphans: Vec::new(),
            dead: 0,
            kept: 0,
            freed: 0,
        };
        graph.roots.clear();
        graph.held.clear();
        assert_eq!(still_doomed(&graph, &plan), [1, 2, 3, 4, 5, 6]);
        let action = ObjectRef::Action(ActionKey::from_bytes([7; 32]));
        graph.objects.push(ObjectNode { id: 7, object: action, state: State::Live, born: 0, size: 0, file: None });
        graph.edges.push((7, 3));
        assert_eq!(still_doomed(&graph, &plan), [4, 5, 6], "what is new keeps what it refers to");
    }
}
