//! One image from definition to documents: look-ups first, work for what is not known.
//!
//! Every look-up has a key of all that decides its outcome, so a hit needs no check but that it can be
//! read. What is made is pending in the session; the image's root is set in the same publication as
//! what it keeps.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::ComposeError;
use super::base::{Bases, Extended, Extension};
use super::batches;
use super::gather::{Gathered, Platform, gather};
use super::key;
use super::notes;
use super::packs;
use super::plan::ComposePlan;
use super::record::{ImageRecord, MadeOf, RootfsRecord, all_documents};
use super::request::{AfterAnError, CachePolicy, Composed, Request};
use super::rootfs_plan::Planned;
use super::shared::Shared;
use crate::check::{CheckError, Note};
use crate::definition::Image;
use crate::rootfs::union::MOST_ENTRIES;
use crate::rootfs::{Listed, listing};
use dlstore_ingest::Added;
use dlstore_model::arch::Arch;
use dlstore_model::config::Config;
use dlstore_model::digest::{ActionKey, KeyBuilder};
use dlstore_model::generation::GENERATOR;
use dlstore_oci::{ImageContent, Layer, documents};
use dlstore_store::session::Session;
use dlstore_store::{NewAction, NewBlob, ObjectRef};

/// Plans images without making anything: packages that are new are read into the session, and nothing is
/// published; the states of packs are those at the time of the call.
///
/// Outcomes come in the order of the requests; after an error the remaining images are planned only with
/// [`AfterAnError::GoOn`].
pub fn plan_all(
    session: &Session<'_>,
    requests: &[Request<'_>],
    after: AfterAnError,
) -> Vec<Result<ComposePlan, ComposeError>> {
    let shared = Shared::default();
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests {
        let outcome =
            gather(session, request, &shared, Added::say_read).and_then(|gathered| plan_of(session, &gathered));
        let is_last = outcome.is_err() && after == AfterAnError::Stop;
        outcomes.push(outcome);
        if is_last {
            break;
        }
    }
    outcomes
}

fn plan_of(session: &Session<'_>, gathered: &Gathered<'_>) -> Result<ComposePlan, ComposeError> {
    let request = gathered.request;
    let (platforms, notes): (Vec<_>, Vec<_>) = batches::plan(
        session,
        gathered,
        |_| false,
        |planned| Ok(planned.into_iter().flatten().map(|one| (one.plan, one.notes)).collect()),
    )?
    .into_iter()
    .unzip();
    Ok(ComposePlan {
        image: request.image.name.clone(),
        flavor: request.image.flavor.clone(),
        codec: request.codec.name(),
        platforms,
        notes: joined(request, notes.iter().map(Vec::as_slice)),
    })
}

/// Plans the rootfs of an image without making anything, and lists what is in each: for looking at it.
///
/// # Errors
/// As [`compose_all`].
pub fn rootfs_of(session: &Session<'_>, request: &Request<'_>) -> Result<Vec<(Arch, Vec<Listed>)>, ComposeError> {
    let shared = Shared::default();
    let gathered = gather(session, request, &shared, Added::say)?;
    // What will be shown is held for all architectures.
    let mut entries = 0;
    batches::plan(
        session,
        &gathered,
        |_| false,
        |planned| {
            entries += planned.iter().flatten().map(|one| one.rootfs.entries()).sum::<usize>();
            if entries > MOST_ENTRIES {
                return Err(ComposeError::EntriesOfAll);
            }
            let list = |one: Planned| (one.plan.architecture, listing(&one.rootfs));
            Ok(planned.into_iter().flatten().map(list).collect())
        },
    )
}

/// Images whose packages and own files are read before the first of them is planned.
const AT_ONCE: usize = 64;

/// Composes images; everything new is pending in the session afterwards. Outcomes come in the order of the requests;
/// behind one that is an error the others are tried only if they are wanted anyway.
///
/// Packages are brought in image by image, each image's side by side. Then small images are planned side by side, and
/// large ones one after the other, so that however many there are the memory they take has a bound.
pub fn compose_all(
    session: &Session<'_>,
    requests: &[Request<'_>],
    policy: CachePolicy,
    after: AfterAnError,
) -> Vec<Result<Composed, ComposeError>> {
    let mut made = BTreeSet::new();
    let mut outcomes = compose_each(session, requests, policy, after, &mut made);
    attribute(&mut outcomes, made);
    if tracing::enabled!(tracing::Level::INFO) {
        say_layers(outcomes.iter().flatten());
    }
    outcomes
}

/// Gives each layer that was made to the first image that has it, whichever was composed first.
fn attribute(outcomes: &mut [Result<Composed, ComposeError>], mut made: BTreeSet<ActionKey>) {
    for image in outcomes.iter().flatten() {
        made.extend(&image.made);
    }
    for image in outcomes.iter_mut().flatten() {
        image.made = image.packs.values().filter(|pack| made.remove(pack)).copied().collect();
    }
}

/// Says what became of each layer to whoever listens: once, and in the order of the images, however many were composed
/// side by side.
fn say_layers<'c>(images: impl Iterator<Item = &'c Composed>) {
    let mut seen = BTreeSet::new();
    for image in images {
        let layers = image.documents.platforms.iter().flat_map(|platform| &platform.layers);
        for layer in layers.filter(|layer| seen.insert(layer.blob)) {
            let word = if image.packs.get(&layer.blob).is_some_and(|key| image.made.contains(key)) {
                "made"
            } else {
                "reused"
            };
            tracing::info!(size = layer.size, "{word} layer {} {}", &layer.blob.to_hex()[..12], layer.title);
        }
    }
}

/// `made` gets the layers that were made for bases.
fn compose_each(
    session: &Session<'_>,
    requests: &[Request<'_>],
    policy: CachePolicy,
    after: AfterAnError,
    made: &mut BTreeSet<ActionKey>,
) -> Vec<Result<Composed, ComposeError>> {
    let shared = Shared::default();
    let mut bases = Bases::default();
    let mut outcomes = Vec::with_capacity(requests.len());
    let mut left = requests.iter();
    while let Some(first) = left.next() {
        let mut group = vec![gather(session, first, &shared, Added::say)];
        let mut weight = weight_of(&group[0]);
        while batches::fits(weight)
            && group.len() < AT_ONCE
            && let Some(next) = left.next()
        {
            group.push(gather(session, next, &shared, Added::say));
            weight += weight_of(&group[group.len() - 1]);
        }
        // What was brought in goes to the disk while it is planned with.
        session.begin_sync();
        let is_large = !batches::fits(weight) || group.iter().flatten().any(batches::has_large);
        if is_large {
            // A thread of the pool must not wait for the turn of a large rootfs.
            let one = |gathered| finish(session, begin(session, gathered, policy)?, &Bases::default());
            outcomes.extend(group.into_iter().map(one));
        } else {
            let begun: Vec<_> = in_parallel(group, |gathered| begin(session, gathered, policy));
            bases.prepare(session, begun.iter().flatten().flat_map(Begun::stands_on));
            made.extend(bases.made());
            outcomes.extend(in_parallel(begun, |begun| finish(session, begun?, &bases)));
        }
        if after == AfterAnError::Stop && outcomes.iter().any(Result::is_err) {
            return outcomes;
        }
    }
    outcomes
}

/// Says how large an image is: one that failed takes nothing more.
fn weight_of(gathered: &Result<Gathered<'_>, ComposeError>) -> u64 {
    gathered.as_ref().map_or(0, Gathered::weight)
}

/// Does the same with each, side by side. Threads are started only when there is more than one.
fn in_parallel<T: Send, U: Send>(mut all: Vec<T>, one: impl Fn(T) -> U + Sync + Send) -> Vec<U> {
    match (all.len(), all.pop()) {
        (1, Some(alone)) => vec![one(alone)],
        (_, last) => {
            all.extend(last);
            all.into_par_iter().with_max_len(1).map(one).collect()
        }
    }
}

/// An image after its cache look-ups.
struct Begun<'r> {
    gathered: Gathered<'r>,
    config: Config,
    /// Keys of its rootfs, by architecture.
    keys: Vec<ActionKey>,
    image_key: ActionKey,
    found: Found,
}

/// What is known of an image.
enum Found {
    /// All of it.
    Image(Box<ImageRecord>),
    /// Of each architecture the rootfs, or the base that it may stand on.
    Rootfs(Vec<(Option<RootfsRecord>, Option<Extension>)>),
}

impl Begun<'_> {
    /// Gives what has to be planned and may stand on a base.
    fn stands_on(&self) -> impl Iterator<Item = (&Gathered<'_>, &Platform, &Extension)> {
        let found = if let Found::Rootfs(found) = &self.found { found.as_slice() } else { &[] };
        let all = self.gathered.platforms.iter().zip(found);
        all.filter_map(|(platform, (_, extension))| Some((&self.gathered, platform, extension.as_ref()?)))
    }
}

/// Looks up what is known of an image.
fn begin<'r>(
    session: &Session<'_>,
    gathered: Result<Gathered<'r>, ComposeError>,
    policy: CachePolicy,
) -> Result<Begun<'r>, ComposeError> {
    let gathered = gathered?;
    let keys: Vec<ActionKey> = gathered.platforms.iter().map(|platform| key::of_rootfs(&gathered, platform)).collect();
    let config = config(gathered.request.image)?;
    let image_key = image_key(gathered.request, &keys, &config);
    let known = match policy {
        CachePolicy::Trust => match session.action(&image_key)? {
            Some(value) => ImageRecord::recall(session, &value)?,
            None => None,
        },
        CachePolicy::Verify => None,
    };
    let found = if let Some(known) = known {
        Found::Image(Box::new(known))
    } else {
        let one = |(key, platform): (&ActionKey, &Platform)| -> Result<_, ComposeError> {
            let known = RootfsRecord::recall(session, key)?;
            let extension = if known.is_none() { Extension::of(&gathered, platform) } else { None };
            Ok((known, extension))
        };
        Found::Rootfs(keys.iter().zip(&gathered.platforms).map(one).collect::<Result<_, _>>()?)
    };
    Ok(Begun { gathered, config, keys, image_key, found })
}

/// Plans and makes what is not known of an image.
fn finish(session: &Session<'_>, begun: Begun<'_>, bases: &Bases) -> Result<Composed, ComposeError> {
    let Begun { gathered, config, keys, image_key, found } = begun;
    let request = gathered.request;
    let (known, made) = match found {
        Found::Image(known) => {
            let keeps = vec![ObjectRef::Action(image_key)];
            // An unchanged root is not set again: a hit takes no lease, and writes once a day that it was used.
            session.keep_under_root(request.root_name(), keeps)?;
            tracing::debug!("image {} is remembered", request.image.name);
            (*known, BTreeSet::new())
        }
        Found::Rootfs(found) => {
            let (roots, made) = roots(session, &gathered, found, bases)?;
            let mut known = document(session, request, &roots, &config)?;
            known.made_of = MadeOf::new(&keys, &gathered);
            remember(session, request, image_key, &keys, &known, &roots);
            (known, made)
        }
    };
    let ImageRecord { documents, packs, date, notes, .. } = known;
    let (packages, versions) = (gathered.packages, gathered.versions());
    Ok(Composed { documents, packs, made, date, packages, versions, notes })
}

/// Plans the rootfs that are not known, on their bases where they stand on one, and makes the packs that are missing.
fn roots(
    session: &Session<'_>,
    gathered: &Gathered<'_>,
    found: Vec<(Option<RootfsRecord>, Option<Extension>)>,
    bases: &Bases,
) -> Result<(Vec<RootfsRecord>, BTreeSet<ActionKey>), ComposeError> {
    let mut new = BTreeSet::new();
    let mut here: Vec<Option<RootfsRecord>> = Vec::with_capacity(found.len());
    for (platform, (known, extension)) in gathered.platforms.iter().zip(found) {
        let extended = match (&known, extension) {
            (None, Some(extension)) => bases.extend(session, gathered, platform, &extension)?,
            _ => None,
        };
        here.push(match extended {
            Some(Extended { root, made }) => {
                new.extend(made);
                Some(root)
            }
            None => known,
        });
    }
    let made = batches::plan(
        session,
        gathered,
        |at| here[at].is_some(),
        |planned| {
            let layers: Vec<_> =
                planned.iter().flatten().map(|one| (&one.rootfs, one.plan.layers.as_slice())).collect();
            packs::make(session, &layers, gathered.request.codec, &mut new)?;
            Ok(planned.into_iter().map(|one| one.map(|one| RootfsRecord::of(one.plan, one.notes))).collect())
        },
    )?;
    let both = here.into_iter().zip(made);
    Ok((both.map(|(here, made)| here.or(made).expect("what was not here was planned")).collect(), new))
}

fn document(
    session: &Session<'_>,
    request: &Request<'_>,
    roots: &[RootfsRecord],
    config: &Config,
) -> Result<ImageRecord, ComposeError> {
    let mut packs = BTreeMap::new();
    let mut platforms = Vec::new();
    for (arch, root) in request.architectures.iter().zip(roots) {
        let mut layers = Vec::new();
        for (key, title) in &root.layers {
            let info = session.pack(key)?.ok_or_else(|| ComposeError::Gone(title.clone()))?;
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
        platforms.push(dlstore_oci::Platform { arch: *arch, created, layers, config: config.clone() });
    }
    let content = ImageContent { annotations: request.image.annotations.clone(), platforms };
    let documents = documents::documents(&content)?;
    let date = roots.iter().map(|root| root.date).max().unwrap_or(0);
    let notes = joined(request, roots.iter().map(|root| root.notes.as_slice()));
    Ok(ImageRecord { documents, packs, date, notes, made_of: MadeOf::default() })
}

fn joined<'n>(request: &Request<'_>, notes: impl Iterator<Item = &'n [Note]>) -> Vec<Note> {
    let notes: Vec<&[Note]> = notes.collect();
    notes::joined(&notes, request.architectures, request.is_for_all())
}

/// Stores an image with all that it consists of, and sets its root.
fn remember(
    session: &Session<'_>,
    request: &Request<'_>,
    key: ActionKey,
    root_keys: &[ActionKey],
    known: &ImageRecord,
    roots: &[RootfsRecord],
) {
    for (root_key, root) in root_keys.iter().zip(roots) {
        let mut refs: Vec<ObjectRef> = root.names().collect();
        refs.sort();
        refs.dedup();
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
        let (uid, gid) = image.ids(user).ok_or_else(|| CheckError::User(user.clone()))?;
        config.user = (user != "root").then(|| format!("{uid}:{gid}"));
    }
    Ok(config)
}

/// The key of an image: everything that decides its documents. The page is `store-schema/KEYS.md`.
fn image_key(request: &Request<'_>, roots: &[ActionKey], config: &Config) -> ActionKey {
    let mut key = KeyBuilder::new("image 5");
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
    // Notes say what they are true of when that is not all of it.
    key.number(u64::from(request.is_for_all()));
    key.finish()
}
