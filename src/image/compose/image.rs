//! One image from definition to documents: look-ups first, work for what is not known.
//!
//! Every look-up has a key of all that decides its outcome, so a hit needs no check but that it can be
//! read. What is made is pending in the session; the image's root is set in the same publication as
//! what it keeps.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::bench::Bench;
use super::choose::{Shelf, Wish};
use super::kept;
use super::notes::{self, Note};
use super::packs::{self, Tally};
use super::remembered::{Known, KnownRoot, MadeOf, all_documents};
use super::root::{self, Inputs, Wanted};
use super::{ComposeError, check, own, suggest};
use crate::definition::{Image, Layering};
use crate::rootfs::union::MOST_ENTRIES;
use dlstore_formats::layer::Codec;
use dlstore_ingest::{Selection, parallel};
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::digest::{ActionKey, KeyBuilder, OciDigest};
use dlstore_model::generation::GENERATOR;
use dlstore_oci::{Documents, ImageContent, Layer, Platform};
use dlstore_store::session::Session;
use dlstore_store::{NewAction, NewBlob, ObjectRef};

/// What is asked for.
pub struct Request<'r> {
    /// The definition, with what flags changed of it already in place.
    pub image: &'r Image,
    /// The architectures, in their order.
    pub architectures: &'r [Arch],
    /// Where packages come from.
    pub shelf: &'r Shelf,
    /// How layers are cut.
    pub layering: Layering,
    /// Their codec.
    pub codec: Codec,
    /// The date of `created` when the user gives one, in seconds.
    pub date: Option<u64>,
    /// What the images of a command share while they are planned.
    pub bench: &'r Bench,
}

impl Request<'_> {
    /// Gives the name of the root that keeps what is asked for.
    fn root_name(&self) -> String {
        kept::root_name(self.image, self.architectures, self.layering, self.codec, self.date)
    }
}

/// What was made.
pub struct Composed {
    /// All documents.
    pub documents: Documents,
    /// Layers by their digest: key of the pack, for whoever needs the bytes.
    pub packs: BTreeMap<OciDigest, ActionKey>,
    /// Newest date of what went in, in seconds.
    pub date: u64,
    /// Packages: how many, and how many of them were new.
    pub packages: (usize, usize),
    /// Layers.
    pub layers: Tally,
    /// Versions by package name, of the first architecture, for tags.
    pub versions: BTreeMap<String, String>,
    /// What people should know.
    pub notes: Vec<Note>,
}

/// How far what is remembered is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// An image that is remembered is there.
    Believed,
    /// The bytes of every layer are looked for, and made again when they are gone or bad.
    Checked,
}

/// Everything that roots are planned from: packages brought into the session, own files read.
struct Prepared {
    selections: Vec<Selection>,
    wanted: BTreeMap<Arch, Vec<Wanted>>,
    own: Vec<Vec<own::OwnFiles>>,
    /// Packages: how many, and how many of them were new.
    packages: (usize, usize),
}

fn prepare(session: &Session<'_>, request: &Request<'_>) -> Result<Prepared, ComposeError> {
    let image = request.image;
    let selections: Vec<Selection> = image.levels.iter().map(crate::fixup::run::selection).collect();
    let wishes: Vec<Wish<'_>> =
        request.architectures.iter().flat_map(|arch| root::wishes(image, *arch, &selections)).collect();
    let added = request.shelf.take_all(session, &wishes, request.codec)?;
    let all: BTreeSet<_> = added.iter().map(|one| one.record.source).collect();
    let mut fresh = BTreeSet::new();
    for one in added.iter().filter(|one| !one.was_known) {
        if fresh.insert(one.record.source) {
            session.add_root(dlstore_ingest::root_name(&one.record), dlstore_ingest::kept_by(one));
        }
    }
    let mut wanted: BTreeMap<Arch, Vec<Wanted>> = BTreeMap::new();
    for (wish, one) in wishes.iter().zip(added) {
        wanted.entry(wish.arch).or_default().push(Wanted { level: wish.level, record: one.record });
    }
    let read = |arch: &Arch| image.levels.iter().map(|level| own::read(image, level, *arch)).collect();
    let own = request.architectures.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Prepared { selections, wanted, own, packages: (all.len(), fresh.len()) })
}

impl Prepared {
    fn suggest(&self, session: &Session<'_>, request: &Request<'_>, error: ComposeError) -> ComposeError {
        suggest::suggest(session, request.image, request.shelf, &self.wanted, error)
    }

    fn inputs<'i>(&'i self, request: &'i Request<'i>) -> Vec<Inputs<'i>> {
        let pairs = request.architectures.iter().zip(&self.own);
        pairs
            .map(|(arch, own)| Inputs {
                image: request.image,
                arch: *arch,
                layering: request.layering,
                codec: request.codec,
                selections: &self.selections,
                wanted: self.wanted.get(arch).map_or(&[], Vec::as_slice),
                own,
                bench: request.bench,
            })
            .collect()
    }
}

/// Plans the roots of an image without making anything: for looking at what would be in it.
///
/// # Errors
/// As [`compose_all`].
pub fn roots_of(session: &Session<'_>, request: &Request<'_>) -> Result<Vec<(Arch, root::Root)>, ComposeError> {
    let prepared = prepare(session, request)?;
    let inputs = prepared.inputs(request);
    let mut roots = Vec::new();
    let mut entries = 0;
    for some in together(&inputs) {
        let one = |inputs: &Inputs<'_>| (inputs.arch, root::plan(session, inputs).map(|root| (inputs.arch, root)));
        let planned: Vec<_> = inputs[some].par_iter().with_max_len(1).map(one).collect();
        let planned = check::all(planned).map_err(|error| prepared.suggest(session, request, error))?;
        entries += planned.iter().map(|(_, root)| root.union.entries()).sum::<usize>();
        if entries > MOST_ENTRIES {
            return Err(ComposeError::EntriesOfAll);
        }
        roots.extend(planned);
    }
    Ok(roots)
}

/// Composes images; everything new is pending in the session afterwards. Outcomes come in the order of the requests;
/// behind one that is an error the others are tried only if they are wanted anyway.
///
/// Packages are brought in image by image, each image's side by side. Then small images are planned side by side, and
/// large ones one after the other, so that however many there are the memory they take has a bound.
pub fn compose_all(
    session: &Session<'_>,
    requests: &[Request<'_>],
    memory: Memory,
    after: AfterAnError,
) -> Vec<Result<Composed, ComposeError>> {
    let mut outcomes = Vec::with_capacity(requests.len());
    let mut left = requests.iter();
    while let Some(first) = left.next() {
        let mut group = vec![(first, prepare(session, first))];
        let mut weight = weight_of(&group[0]);
        while weight <= MOST_ENTRIES as u64
            && group.len() < AT_ONCE
            && let Some(next) = left.next()
        {
            group.push((next, prepare(session, next)));
            weight += weight_of(&group[group.len() - 1]);
        }
        let compose = |(request, prepared): (&Request<'_>, Result<Prepared, ComposeError>)| {
            prepared.and_then(|prepared| finish(session, request, &prepared, memory))
        };
        let roots = group.iter().filter_map(|(request, prepared)| Some((request, prepared.as_ref().ok()?)));
        let largest =
            roots.flat_map(|(request, prepared)| prepared.inputs(request)).map(|root| root::weight(&root)).max();
        // A thread of the pool must not wait for the turn of a large root.
        if group.len() > 1 && weight <= MOST_ENTRIES as u64 && largest.is_none_or(|largest| largest <= LARGE) {
            outcomes.par_extend(group.into_par_iter().with_max_len(1).map(compose));
        } else {
            outcomes.extend(group.into_iter().map(compose));
        }
        if after == AfterAnError::Stop && outcomes.iter().any(Result::is_err) {
            return outcomes;
        }
    }
    outcomes
}

/// What happens to the other images when one of them cannot be composed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterAnError {
    /// Those behind it are not begun.
    Stop,
    /// They are composed.
    GoOn,
}

/// Images whose packages and own files are read before the first of them is planned.
const AT_ONCE: usize = 64;

/// Says how large an image is: one that failed takes nothing more.
fn weight_of((request, prepared): &(&Request<'_>, Result<Prepared, ComposeError>)) -> u64 {
    prepared.as_ref().map_or(0, |prepared| prepared.inputs(request).iter().map(root::weight).sum())
}

fn finish(
    session: &Session<'_>,
    request: &Request<'_>,
    prepared: &Prepared,
    memory: Memory,
) -> Result<Composed, ComposeError> {
    let image = request.image;
    let inputs = prepared.inputs(request);
    let keys: Vec<ActionKey> = inputs.iter().map(root::key).collect();
    let config = config(image)?;
    let image_key = image_key(request, &keys, &config);
    let versions = inputs.first().map(|inputs| versions(inputs.wanted)).unwrap_or_default();

    let known = match memory {
        Memory::Believed => match session.action(&image_key)? {
            Some(value) => Known::recall(session, &value)?,
            None => None,
        },
        Memory::Checked => None,
    };
    let (known, layers) = if let Some(known) = known {
        let keeps = vec![ObjectRef::Action(image_key)];
        // An unchanged root is not set again: a hit takes no lease, and writes once a day that it was used.
        session.keep_under_root(request.root_name(), keeps)?;
        let layers = Tally { reused: known.packs.len(), made: 0 };
        tracing::debug!("image {} is remembered", image.name);
        for layer in known.documents.layers().into_values() {
            packs::say("reused", &layer.blob, layer.size, &layer.title);
        }
        (known, layers)
    } else {
        let made = roots(session, &inputs, &keys, request.codec);
        let (roots, layers) = made.map_err(|error| prepared.suggest(session, request, error))?;
        let mut known = document(session, request, &roots, &config)?;
        known.made_of = MadeOf::new(&keys, &inputs);
        remember(session, request, image_key, &keys, &known, &roots);
        (known, layers)
    };
    let Known { documents, packs, date, notes, .. } = known;
    Ok(Composed { documents, packs, date, packages: prepared.packages, layers, versions, notes })
}

/// Finds the roots that are known, plans the others, and makes the packs that are missing.
fn roots(
    session: &Session<'_>,
    inputs: &[Inputs<'_>],
    keys: &[ActionKey],
    codec: Codec,
) -> Result<(Vec<KnownRoot>, Tally), ComposeError> {
    let found: Vec<Option<KnownRoot>> = keys
        .iter()
        .map(|key| {
            let known = session.action(key)?.and_then(|value| KnownRoot::decode(&value).ok());
            let Some(known) = known else { return Ok(None) };
            for (layer, _) in &known.layers {
                if !packs::is_here(session, layer)? {
                    return Ok(None);
                }
            }
            Ok(Some(known))
        })
        .collect::<Result<_, ComposeError>>()?;
    if tracing::enabled!(tracing::Level::INFO) {
        say_reused(session, found.iter().flatten())?;
    }
    let mut tally = Tally::default();
    let mut made: Vec<Option<KnownRoot>> = Vec::new();
    for some in together(inputs) {
        let work = || -> Result<(Vec<Option<KnownRoot>>, Tally), ComposeError> {
            let plan = |(inputs, found): (&Inputs<'_>, &Option<KnownRoot>)| match found {
                Some(_) => (inputs.arch, Ok(None)),
                None => (inputs.arch, root::plan(session, inputs).map(Some)),
            };
            let (inputs, found) = (&inputs[some.clone()], &found[some.clone()]);
            let planned: Vec<_> = match (inputs, found) {
                ([inputs], [found]) => vec![plan((inputs, found))],
                _ => inputs.par_iter().zip(found).with_max_len(1).map(plan).collect(),
            };
            let planned: Vec<Option<root::Root>> = check::all(planned)?;
            let missing: Vec<&root::Root> = planned.iter().flatten().collect();
            let tally = packs::make(session, &missing, codec)?;
            Ok((planned.iter().map(|root| root.as_ref().map(known_root)).collect(), tally))
        };
        let is_large = some.len() == 1 && root::weight(&inputs[some.start]) > LARGE;
        let (known, one) = if is_large { parallel::one_by_one(work)? } else { work()? };
        tally.add(one);
        made.extend(known);
        if some.len() < inputs.len() {
            inputs[0].bench.forget_parts();
        }
    }
    let reused: BTreeSet<_> = found.iter().flatten().flat_map(|root| root.layers.iter().map(|(key, _)| *key)).collect();
    tally.reused += reused.len();
    let both = found.into_iter().zip(made);
    Ok((both.map(|(found, made)| found.or(made).expect("what was not found was planned")).collect(), tally))
}

/// Says which layers of remembered roots are reused, each once.
fn say_reused<'r>(session: &Session<'_>, roots: impl Iterator<Item = &'r KnownRoot>) -> Result<(), ComposeError> {
    let layers: BTreeMap<&ActionKey, &String> =
        roots.flat_map(|root| root.layers.iter().map(|(key, title)| (key, title))).collect();
    for (key, title) in layers {
        if let Some(info) = packs::info(session, key)? {
            packs::say("reused", &info.blob, info.size, title);
        }
    }
    Ok(())
}

/// Entries from which a root that is planned alone has a thread of its own, that takes the memory which adding its
/// packages has left.
const LARGE: u64 = 20_000;

/// Cuts the architectures into those whose roots are planned at once: all of them, unless they are large together. Then
/// each is planned, made and forgotten before the next one.
fn together(inputs: &[Inputs<'_>]) -> Vec<std::ops::Range<usize>> {
    let all = inputs.iter().map(root::weight).sum::<u64>();
    let at_once = if all <= MOST_ENTRIES as u64 { inputs.len() } else { 1 };
    (0..inputs.len()).step_by(at_once.max(1)).map(|at| at..at + at_once).collect()
}

fn known_root(root: &root::Root) -> KnownRoot {
    let layers = root.layers.iter().map(|layer| (layer.key, layer.title.clone())).collect();
    KnownRoot { layers, date: root.date, notes: root.notes.clone() }
}

fn document(
    session: &Session<'_>,
    request: &Request<'_>,
    roots: &[KnownRoot],
    config: &Config,
) -> Result<Known, ComposeError> {
    let mut packs = BTreeMap::new();
    let mut platforms = Vec::new();
    for (arch, root) in request.architectures.iter().zip(roots) {
        let mut layers = Vec::new();
        for (key, title) in &root.layers {
            let info = packs::info(session, key)?.ok_or_else(|| ComposeError::Gone(title.clone()))?;
            packs.insert(info.blob, *key);
            layers.push(Layer {
                codec: info.codec,
                blob: info.blob,
                size: info.size,
                diff_id: info.diff_id,
                title: title.clone(),
            });
        }
        let created = request.date.unwrap_or(root.date);
        platforms.push(Platform { arch: *arch, created, layers, config: config.clone() });
    }
    let content = ImageContent { annotations: request.image.annotations.clone(), platforms };
    let documents = dlstore_oci::documents::documents(&content)?;
    let date = roots.iter().map(|root| root.date).max().unwrap_or(0);
    let notes: Vec<&[Note]> = roots.iter().map(|root| root.notes.as_slice()).collect();
    let is_all = request.architectures.len() == request.image.architectures.len();
    let notes = notes::joined(&notes, request.architectures, is_all);
    Ok(Known { documents, packs, date, notes, made_of: MadeOf::default() })
}

/// Stores an image with all that it consists of, and sets its root.
fn remember(
    session: &Session<'_>,
    request: &Request<'_>,
    key: ActionKey,
    root_keys: &[ActionKey],
    known: &Known,
    roots: &[KnownRoot],
) {
    for (root_key, root) in root_keys.iter().zip(roots) {
        let refs = root.layers.iter().map(|(key, _)| ObjectRef::Pack(*key)).collect();
        session.add_action(NewAction { key: *root_key, kind: "root".into(), value: root.encode(), refs });
    }
    for document in all_documents(&known.documents) {
        session.add_blob(NewBlob {
            digest: document.digest,
            media_type: document.media_type.clone(),
            data: document.data.clone(),
        });
    }
    let mut refs: Vec<ObjectRef> = known.names().collect();
    refs.sort();
    refs.dedup();
    session.add_action(NewAction { key, kind: "image".into(), value: known.encode(), refs });
    session.add_root(request.root_name(), vec![ObjectRef::Action(key)]);
}

/// The runtime configuration with its user in numbers.
fn config(image: &Image) -> Result<Config, ComposeError> {
    let mut config = image.config.clone();
    if let Some(user) = &image.config.user {
        let (uid, gid) = own::ids(image, user).ok_or_else(|| ComposeError::User(user.clone()))?;
        config.user = (user != "root").then(|| format!("{uid}:{gid}"));
    }
    Ok(config)
}

/// The key of an image: everything that decides its documents. The page is `store-schema/KEYS.md`.
fn image_key(request: &Request<'_>, roots: &[ActionKey], config: &Config) -> ActionKey {
    let mut key = KeyBuilder::new("image 4");
    key.number(u64::from(GENERATOR));
    key.list(roots, |key, root| {
        key.bytes(root.as_bytes());
    });
    key.text(&request.image.name);
    config.add_to_key(&mut key);
    key.pairs(&request.image.annotations);
    key.option(request.date, |key, date| {
        key.number(date);
    });
    key.finish()
}

fn versions(wanted: &[Wanted]) -> BTreeMap<String, String> {
    wanted.iter().map(|wanted| (wanted.record.name.clone(), wanted.record.version.clone())).collect()
}
