//! The plan of a collection: plain data, made by pure functions, printable before it is done.
//!
//! What can be reached from roots, from what living leases hold, and from *young* objects stays.
//! Youth counts as a root and not per object: an old tree below a young package must stay, or live
//! objects would refer to dead ones. The rest is doomed.
//!
//! Objects are planned in the order in which they go: what refers before what it refers to, so that each can be
//! decided alone when its turn comes. A plan may be outdated then. Therefore nothing of it is believed: it is the
//! most that can go, and never touches what was claimed or came after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::ObjectRef;
use super::finding::Stays;
use crate::index::{Age, Directory, Graph, Kind, LeaseName, ObjectNode, State};
use dlstore_model::digest::OciDigest;

/// What may be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOptions {
    /// The time, in seconds since 1970.
    pub now: u64,
    /// Objects younger than this stay, and so do files that no row knows.
    pub grace: Duration,
    /// Roots that were set and used longer ago than this go.
    pub older_than: Option<Duration>,
    /// Collects only until so many bytes are free on the file system.
    pub keep_free: Option<u64>,
    /// Collects no more than about so many bytes: stops with the object that reaches it.
    pub max_freed: Option<u64>,
    /// What happens to the sources of packages.
    pub sources: SourcePolicy,
    /// What happens to files in `sources/` that no row knows.
    pub orphan_sources: Leftover,
    /// What happens to what lies in quarantine.
    pub quarantine: Leftover,
}

/// What happens to the sources of packages that stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePolicy {
    /// They stay with their packages.
    Keep,
    /// They go, rooted by themselves or not.
    Drop,
}

/// What happens to bytes that nothing here refers to, and that somebody may miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// They stay.
    Keep,
    /// They go.
    Remove,
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
            orphan_sources: Leftover::Keep,
            quarantine: Leftover::Keep,
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
    /// Bytes of its file that its going frees; 0 when another object still lies in the same file.
    pub bytes: u64,
    pub(super) id: i64,
    pub(super) born: u64,
}

/// A file that nothing refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its path below the store, for example `packs/<64 hex>`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Where it lies: the path above is for people, and nothing is removed by it.
    pub(super) place: Lies,
}

impl Orphan {
    /// Gives the source that it is, if it lies in `sources/`.
    pub(super) const fn source(&self) -> Option<OciDigest> {
        match self.place {
            Lies::In(Directory::Sources, sha256) => Some(sha256),
            _ => None,
        }
    }
}

/// Where a file lies that nothing refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lies {
    /// In a directory of files that are named by their SHA-256.
    In(Directory, OciDigest),
    /// In quarantine, under a name that was listed there.
    InQuarantine(PathBuf),
}

/// Everything that a collection would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcPlan {
    /// Leases of processes that are dead: their stages go and what they held is let go.
    pub leases: Vec<String>,
    /// Bytes in their stages.
    pub staged: u64,
    /// Roots that go because of their age.
    pub roots: Vec<DroppedRoot>,
    /// What happens to sources.
    pub sources: SourcePolicy,
    /// Objects that go, in the order in which they go: what refers before what it refers to.
    pub objects: Vec<Doomed>,
    /// Files that go because no row knows them.
    pub orphans: Vec<Orphan>,
    /// What goes out of quarantine.
    pub quarantined: Vec<Orphan>,
    /// Objects that seem to be born later than now; they are given today's birth.
    pub unborn: u64,
    /// Whether the totals that are kept have to be counted again.
    pub miscounted: bool,
    /// Dead objects that an earlier collection left: they go too.
    pub dead: u64,
    /// Objects that stay.
    pub kept: u64,
    /// Sources that were to go and stay.
    pub stays: Stays,
    /// Bytes that become free, as far as is known.
    pub freed: u64,
    pub(super) now: u64,
    /// Rows of the objects that seem to be born later than now.
    pub(super) unborn_rows: Vec<i64>,
    /// Rows of files that no object lies in.
    pub(super) unused: Vec<i64>,
}

/// Adds sizes up. They are what rows say, and a damaged row may say anything: a sum ends at the largest number.
pub(super) fn total(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

/// A set of places of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places(Vec<u64>);

impl Places {
    fn none(graph: &Graph) -> Self {
        Self(vec![0; graph.len().div_ceil(64)])
    }

    /// Makes a set of some places.
    pub(super) fn of(graph: &Graph, places: impl Iterator<Item = u32>) -> Self {
        let mut set = Self::none(graph);
        for place in places {
            set.add(place);
        }
        set
    }

    pub(super) fn has(&self, place: u32) -> bool {
        self.0[place as usize / 64] >> (place % 64) & 1 == 1
    }

    /// Adds a place; `false` when it was there.
    fn add(&mut self, place: u32) -> bool {
        let is_new = !self.has(place);
        self.0[place as usize / 64] |= 1 << (place % 64);
        is_new
    }
}

fn places(graph: &Graph) -> impl DoubleEndedIterator<Item = u32> {
    0..u32::try_from(graph.len()).unwrap_or(u32::MAX)
}

/// Chooses the rows of roots that go, and the objects that nothing else reaches then, by row; `kept` are seen to be kept
/// by something else than a root, a lease or their youth.
pub(super) fn choose(
    graph: &Graph,
    options: &GcOptions,
    dead: &BTreeSet<LeaseName>,
    kept: &[u32],
) -> (Vec<i64>, Vec<u32>) {
    let is_old = |at: u32| {
        let age = options.now.saturating_sub(graph.roots[at as usize].used_at);
        options.older_than.is_some_and(|most| age > most.as_secs())
    };
    let of_package = match options.sources {
        SourcePolicy::Keep => Places::none(graph),
        SourcePolicy::Drop => sources_of_packages(graph),
    };
    let rooted = graph.kept.iter().filter(|(root, to)| !is_old(*root) && !of_package.has(*to)).map(|(_, to)| *to);
    let living: Vec<bool> = graph.leases.iter().map(|lease| lease.is_none_or(|name| !dead.contains(&name))).collect();
    let held = graph.held.iter().filter(|(lease, _)| living[*lease as usize]).map(|(_, to)| *to);
    let young = places(graph).filter(|at| {
        let node = graph.node(*at);
        node.state != State::Dead && node.age != Age::Old && !of_package.has(*at)
    });
    let stray = graph.stray.iter().filter(|to| !of_package.has(**to));
    let seeds = rooted.chain(held).chain(young).chain(kept.iter().chain(stray).copied());
    let reached = reach(graph, seeds, |to| !of_package.has(to));
    let dropped = (0..).zip(&graph.roots).filter(|(at, _)| is_old(*at)).map(|(_, root)| root.id).collect();
    let goes = |at: &u32| !reached.has(*at) && graph.node(*at).state != State::Dead;
    (dropped, places(graph).filter(goes).collect())
}

/// Gives what a walk along the edges from some objects gets to.
fn reach(graph: &Graph, seeds: impl Iterator<Item = u32>, may_go: impl Fn(u32) -> bool) -> Places {
    let mut reached = Places::none(graph);
    let mut waiting = Vec::new();
    for seed in seeds {
        // Walked at once, so that no list of all seeds is made.
        waiting.extend(reached.add(seed).then_some(seed));
        while let Some(at) = waiting.pop() {
            waiting.extend(graph.targets(at).iter().filter(|to| may_go(**to) && reached.add(**to)));
        }
    }
    reached
}

fn sources_of_packages(graph: &Graph) -> Places {
    let mut sources = Places::none(graph);
    for at in places(graph).filter(|at| graph.node(*at).kind == Kind::Package as u8) {
        for to in graph.targets(at).iter().filter(|to| graph.node(**to).kind == Kind::Source as u8) {
            sources.add(*to);
        }
    }
    sources
}

/// Orders objects that go: what refers before what it refers to, then by row.
///
/// Objects that refer to each other in a circle stay, with what they refer to: no key can be made of a thing that
/// is made of the key, so there are none, and one that damage made is not worth a walk under the lock.
pub(super) fn in_order(graph: &Graph, chosen: &[u32]) -> Vec<u32> {
    let at = |place: u32| chosen.binary_search(&place).ok();
    let mut referrers = vec![0_u32; chosen.len()];
    for place in chosen {
        for to in graph.targets(*place).iter().filter_map(|to| at(*to)) {
            referrers[to] += 1;
        }
    }
    let mut order = Vec::with_capacity(chosen.len());
    let mut wave: Vec<usize> = (0..chosen.len()).filter(|at| referrers[*at] == 0).collect();
    while !wave.is_empty() {
        let mut next = Vec::new();
        for place in wave.iter().map(|at| chosen[*at]) {
            order.push(place);
            for to in graph.targets(place).iter().filter_map(|to| at(*to)) {
                referrers[to] -= 1;
                if referrers[to] == 0 {
                    next.push(to);
                }
            }
        }
        next.sort_unstable();
        wave = next;
    }
    order
}

/// Takes what lies in rows, then files, oldest first and each with all that lies in it, until enough is freed; what a
/// file that stays refers to stays too. `going` are places and nodes in the order in which they go, and stay so.
pub(super) fn choose_most(graph: &Graph, mut going: Vec<(u32, ObjectNode)>, most: u64) -> Vec<(u32, ObjectNode)> {
    if most == 0 {
        return Vec::new();
    }
    let mut files: Vec<(u64, i64, u32, u64, i64)> =
        going.iter().filter_map(|(place, node)| Some((node.born, node.id, *place, node.size, node.file?))).collect();
    files.sort_unstable();
    let (mut freed, mut chosen) = (0_u64, BTreeSet::new());
    for (.., size, file) in &files {
        if freed >= most {
            break;
        }
        if chosen.insert(*file) {
            freed = freed.saturating_add(*size);
        }
    }
    // A row that a file refers to can go only with the file.
    let staying = files.iter().filter(|(.., file)| !chosen.contains(file)).map(|(_, _, place, ..)| *place);
    let stays = reach(graph, staying, |_| true);
    going.retain(|(place, _)| !stays.has(*place));
    going
}

/// Counts the bytes of a file with the first of those that go, if all that lie in it go. What rows free is not
/// counted: their pages may be used again. `used` says of each file
/// whether something else lies in it.
pub(super) fn weigh<'n>(
    going: impl ExactSizeIterator<Item = &'n ObjectNode>,
    used: &BTreeMap<i64, bool>,
) -> Vec<Doomed> {
    let mut counted = BTreeSet::new();
    let mut doomed = Vec::with_capacity(going.len());
    for node in going {
        let is_free = node.file.is_some_and(|file| !used.get(&file).copied().unwrap_or(false) && counted.insert(file));
        let bytes = if is_free { node.size } else { 0 };
        doomed.push(Doomed { object: node.object, bytes, id: node.id, born: node.born });
    }
    doomed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Node, RootNode};
    use dlstore_model::digest::{ActionKey, Digest, OciDigest, PackageKey};

    /// 1 source and 2 tree below 3 package (root `p`, set at 100); 4 and 5 packs in one file, made of the tree 7;
    /// 6 tree held; 8 action that refers to pack 4.
    const KINDS: [Kind; 8] =
        [Kind::Source, Kind::Tree, Kind::Package, Kind::Pack, Kind::Pack, Kind::Tree, Kind::Tree, Kind::Action];
    const BORN: [u64; 8] = [10, 10, 10, 20, 90, 10, 10, 10];
    const SIZES: [u64; 8] = [1000, 50, 0, 500, 500, 60, 70, 8];
    const FILES: [Option<i64>; 8] = [Some(1), None, None, Some(2), Some(2), None, None, None];

    fn graph(options: &GcOptions) -> Graph {
        let mut graph = Graph::default();
        for (id, (kind, born)) in (1..).zip(KINDS.into_iter().zip(BORN)) {
            let age = Age::of(born, options.now, options.grace.as_secs());
            graph.add(id, Node { kind: kind as u8, state: State::Live, age }).unwrap();
        }
        graph.add_edges([(3, 1), (3, 2), (4, 7), (5, 7), (8, 4)].map(Ok)).unwrap();
        graph.roots = vec![RootNode { id: 1, used_at: 100 }];
        graph.kept = vec![(0, 2)];
        graph.leases = vec![Some(lease())];
        graph.held = vec![(0, 5)];
        graph
    }

    fn node(place: u32) -> ObjectNode {
        let at = place as usize;
        let digest = Digest::of(&[at as u8]);
        let object = match KINDS[at] {
            Kind::Source => ObjectRef::Source(OciDigest::of(b"")),
            Kind::Package => ObjectRef::Package(PackageKey::from_bytes(*digest.as_bytes())),
            Kind::Pack => ObjectRef::Pack(ActionKey::from_bytes(*digest.as_bytes())),
            Kind::Action => ObjectRef::Action(ActionKey::from_bytes(*digest.as_bytes())),
            _ => ObjectRef::Tree(digest),
        };
        let id = i64::from(place) + 1;
        ObjectNode { id, object, state: State::Live, born: BORN[at], size: SIZES[at], file: FILES[at] }
    }

    fn lease() -> LeaseName {
        LeaseName::parse(&"a".repeat(32)).unwrap()
    }

    fn doomed(options: &GcOptions, dead: &[LeaseName], most: Option<u64>) -> Vec<(i64, u64)> {
        let graph = graph(options);
        let dead = dead.iter().copied().collect();
        let (_, chosen) = choose(&graph, options, &dead, &[]);
        let mut going: Vec<_> = in_order(&graph, &chosen).into_iter().map(|place| (place, node(place))).collect();
        if let Some(most) = most {
            going = choose_most(&graph, going, most);
        }
        let nodes: Vec<ObjectNode> = going.iter().map(|(_, node)| *node).collect();
        let stays =
            |file: i64| (0..8).any(|place| FILES[place as usize] == Some(file) && !nodes.contains(&node(place)));
        let used = [1, 2].map(|file| (file, stays(file))).into();
        weigh(nodes.iter(), &used).iter().map(|doomed| (doomed.id, doomed.bytes)).collect()
    }

    fn no_grace() -> GcOptions {
        GcOptions { grace: Duration::ZERO, ..GcOptions::new(200) }
    }

    #[test]
    fn what_nothing_reaches_goes_before_what_it_refers_to_and_a_shared_file_counts_once() {
        assert_eq!(doomed(&no_grace(), &[], None), [(5, 500), (8, 0), (4, 0), (7, 0)]);
        assert_eq!(doomed(&no_grace(), &[lease()], None), [(5, 500), (6, 0), (8, 0), (4, 0), (7, 0)]);
        let half = GcOptions { grace: Duration::from_secs(120), ..no_grace() };
        assert_eq!(doomed(&half, &[], None), [(8, 0), (4, 0)], "pack 5 is young and keeps its file and its tree");
    }

    #[test]
    fn what_is_born_in_the_future_counts_as_young() {
        let early = GcOptions { now: 15, ..no_grace() };
        assert_eq!(doomed(&early, &[lease()], None), [(6, 0), (8, 0)]);
        assert_eq!(Age::of(20, 15, 0), Age::Future);
        assert_eq!((Age::of(15, 15, 0), Age::of(15, 15, 1), Age::of(14, 15, 1)), (Age::Old, Age::Young, Age::Old));
    }

    #[test]
    fn old_roots_and_sources_go_when_asked() {
        let old = GcOptions { older_than: Some(Duration::from_secs(99)), ..no_grace() };
        assert_eq!(doomed(&old, &[], None), [(3, 0), (5, 500), (8, 0), (1, 1000), (2, 0), (4, 0), (7, 0)]);
        assert_eq!(choose(&graph(&old), &old, &BTreeSet::new(), &[]).0, [1]);
        let recent = GcOptions { older_than: Some(Duration::from_secs(100)), ..no_grace() };
        assert_eq!(doomed(&recent, &[], None), [(5, 500), (8, 0), (4, 0), (7, 0)]);
        assert_eq!(choose(&graph(&recent), &recent, &BTreeSet::new(), &[]).0, [] as [i64; 0]);
        let dropped = GcOptions { sources: SourcePolicy::Drop, ..no_grace() };
        assert_eq!(doomed(&dropped, &[], None), [(1, 1000), (5, 500), (8, 0), (4, 0), (7, 0)]);
    }

    #[test]
    fn a_bound_takes_rows_first_and_then_the_oldest_files_and_leaves_what_they_need() {
        let dropped = GcOptions { sources: SourcePolicy::Drop, ..no_grace() };
        assert_eq!(doomed(&dropped, &[lease()], Some(0)), []);
        assert_eq!(doomed(&dropped, &[lease()], Some(1)), [(1, 1000), (6, 0), (8, 0)], "the packs need tree 7");
        assert_eq!(doomed(&dropped, &[lease()], Some(1000)), [(1, 1000), (6, 0), (8, 0)]);
        let all = [(1, 1000), (5, 500), (6, 0), (8, 0), (4, 0), (7, 0)];
        assert_eq!(doomed(&dropped, &[lease()], Some(1001)), all, "a file goes with all that lies in it");
    }

    #[test]
    fn a_circle_and_what_it_refers_to_stay() {
        let mut graph = Graph::default();
        for id in 1..=4 {
            graph.add(id, Node { kind: 5, state: State::Live, age: Age::Old }).unwrap();
        }
        graph.add_edges([(1, 2), (2, 3), (3, 2), (3, 4)].map(Ok)).unwrap();
        assert_eq!(in_order(&graph, &[0, 1, 2, 3]), [0]);
    }
}
