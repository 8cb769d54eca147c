//! Sparing: what only seems to be kept by nobody, because the index lost who keeps it.
//!
//! An object goes when no walk along the edges from a root, a lease or a young object gets to it. Edges and targets
//! of roots are rows, and rows get lost; but each of them has a second record: the row of a package, an outcome or a
//! pack says what it names, and the journal says what roots keep. What a row that stays names stays, and so does what
//! the last line of a root names, with all that they reach. What is lost is a finding of `verify`, and for a repair
//! to bring back; a collection must not make it final.
//!
//! That is asked only of what would go, so a collection with nothing to do asks nothing.

use std::collections::BTreeSet;

use super::gc::{Places, SourcePolicy};
use super::{ObjectRef, StoreError};
use crate::index::{Graph, Kind, ObjectNode, Reader};

/// The objects that go, to be found by their names.
pub(super) struct Going<'g> {
    nodes: &'g [(u32, ObjectNode)],
    /// Places in `nodes`, by object.
    sorted: Vec<u32>,
    sources: SourcePolicy,
}

impl<'g> Going<'g> {
    fn new(nodes: &'g [(u32, ObjectNode)], sources: SourcePolicy) -> Self {
        let mut sorted: Vec<u32> = (0..u32::try_from(nodes.len()).unwrap_or(u32::MAX)).collect();
        sorted.sort_unstable_by_key(|at| nodes[*at as usize].1.object);
        Self { nodes, sorted, sources }
    }

    /// Gives the place in the graph of an object that goes and may be spared. Sources that are dropped on purpose may not.
    pub(super) fn find(&self, object: &ObjectRef) -> Option<u32> {
        if self.sources == SourcePolicy::Drop && matches!(object, ObjectRef::Source(_)) {
            return None;
        }
        let at = self.sorted.binary_search_by_key(object, |at| self.nodes[*at as usize].1.object).ok()?;
        Some(self.nodes[self.sorted[at] as usize].0)
    }

    fn has(&self, kind: Kind) -> bool {
        let of = |object: &ObjectRef| object.kind() as u8;
        let at = self.sorted.partition_point(|at| of(&self.nodes[*at as usize].1.object) < kind as u8);
        self.sorted.get(at).is_some_and(|at| of(&self.nodes[*at as usize].1.object) == kind as u8)
    }
}

/// Of objects that go, gives the places of those that the journal says are kept.
pub(super) type NamedInJournal<'k> = &'k dyn Fn(&Going<'_>) -> Result<BTreeSet<u32>, StoreError>;

/// Takes out of `going` what something that stays names, and what that reaches. `choose` gives what goes, sorted by
/// place, when some objects are seen to be kept.
pub(super) fn spare(
    reader: &Reader<'_>,
    graph: &Graph,
    going: &mut Vec<(u32, ObjectNode)>,
    sources: SourcePolicy,
    journal: NamedInJournal<'_>,
    choose: impl Fn(&[u32]) -> Vec<u32>,
) -> Result<(), StoreError> {
    let mut kept: BTreeSet<u32> = BTreeSet::new();
    let mut is_first = true;
    while !going.is_empty() {
        let named = Going::new(going, sources);
        let mut found = if is_first { journal(&named)? } else { BTreeSet::new() };
        is_first = false;
        let goes = Places::of(graph, going.iter().map(|(place, _)| *place));
        let stays = |id| graph.place(id).is_some_and(|place| !graph.is_dead(place) && !goes.has(place));
        reader.each_named(
            |kind| named.has(kind),
            |id, names| {
                let mut spared = names.iter().filter_map(|name| named.find(name)).peekable();
                if spared.peek().is_some() && stays(id) {
                    found.extend(spared);
                }
            },
        )?;
        if found.is_empty() {
            break;
        }
        kept.extend(found);
        // What is kept now may name more.
        let goes = choose(&kept.iter().copied().collect::<Vec<_>>());
        going.retain(|(place, _)| goes.binary_search(place).is_ok());
    }
    Ok(())
}
