//! One image from definition to documents: look-ups first, work for what is not known.
//!
//! Every look-up has a key of all that decides its outcome, so a hit needs no check but that it can be
//! read. What is made is pending in the session; the image's root is set in the same publication as
//! what it keeps.

use std::collections::{BTreeMap, BTreeSet};

use super::ComposeError;
use super::base::{Bases, Extension};
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
use crate::check::{CheckError, Note, with_line};
use crate::definition::Image;
use crate::rootfs::union::MOST_ENTRIES;
use crate::rootfs::{Listed, ListedPackage, listing, packages};
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
    let told = joined(request, notes.iter().map(Vec::as_slice)).into_iter();
    Ok(ComposePlan {
        image: request.image.name.clone(),
        flavor: request.image.flavor.clone(),
        codec: request.codec.name(),
        platforms,
        notes: told.map(|note| with_line(note, request.image)).collect(),
    })
}

/// A rootfs for people.
pub struct ListedRootfs {
    /// Its architecture.
    pub arch: Arch,
    /// Its paths, sorted.
    pub files: Vec<Listed>,
    /// Its packages, sorted.
    pub packages: Vec<ListedPackage>,
}

/// Plans the rootfs of an image without making anything, and lists what is in each: for looking at it.
///
/// # Errors
/// As composing it.
pub fn rootfs_of(session: &Session<'_>, request: &Request<'_>) -> Result<Vec<ListedRootfs>, ComposeError> {
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
            let list = |one: Planned| ListedRootfs {
                arch: one.plan.architecture,
                files: listing(&one.rootfs),
                packages: packages(&one.rootfs),
            };
            Ok(planned.into_iter().flatten().map(list).collect())
        },
    )
}

/// An image after its cache look-ups.
pub(super) struct Begun<'r> {
    gathered: Gathered<'r>,
    config: Config,
    /// Keys of its rootfs, by architecture.
    keys: Vec<ActionKey>,
    image_key: ActionKey,
    look_up: LookUp,
}

/// What the look-ups of an image gave.
enum LookUp {
    /// All of it.
    Image(Box<ImageRecord>),
    /// Of each architecture what there is of its rootfs.
    Rootfs(Vec<RootfsFound>),
}

/// What there is of a rootfs.
enum RootfsFound {
    /// It was planned and made.
    Here(RootfsRecord),
    /// It may stand on a base.
    On(Box<Extension>),
    /// Nothing: it is planned as a whole.
    Whole,
}

impl<'r> Begun<'r> {
    /// Gives the image.
    pub(super) const fn image(&self) -> &'r Image {
        self.gathered.request.image
    }

    fn rootfs(&self) -> impl Iterator<Item = (&Platform, &RootfsFound)> {
        let found = if let LookUp::Rootfs(found) = &self.look_up { found.as_slice() } else { &[] };
        self.gathered.platforms.iter().zip(found)
    }

    /// Gives what has to be planned and may stand on a base.
    pub(super) fn stands_on(&self) -> impl Iterator<Item = (&Gathered<'r>, &Platform, &Extension)> {
        self.rootfs().filter_map(|(platform, found)| match found {
            RootfsFound::On(extension) => Some((&self.gathered, platform, &**extension)),
            RootfsFound::Here(_) | RootfsFound::Whole => None,
        })
    }

    /// Gives how large what has to be planned is of each architecture, as [`Platform::weight`] does, with the key of the
    /// base that takes it instead.
    pub(super) fn weights(&self) -> impl Iterator<Item = (u64, Option<&ActionKey>)> {
        self.rootfs().filter_map(|(platform, found)| match found {
            RootfsFound::On(extension) => Some((platform.weight(), Some(extension.base()))),
            RootfsFound::Whole => Some((platform.weight(), None)),
            RootfsFound::Here(_) => None,
        })
    }

    /// Plans what stands on the bases that are here, and makes what its files need; what a base turns out not to carry has
    /// to be planned as a whole.
    ///
    /// # Errors
    /// As [`Bases::extend`].
    pub(super) fn stand(mut self, session: &Session<'_>, bases: &Bases) -> Result<Self, ComposeError> {
        let LookUp::Rootfs(rootfs) = &mut self.look_up else { return Ok(self) };
        for (platform, found) in self.gathered.platforms.iter().zip(rootfs) {
            let RootfsFound::On(extension) = &*found else { continue };
            if !bases.has(extension.base()) {
                continue;
            }
            *found = match bases.extend(session, &self.gathered, platform, extension)? {
                Some(rootfs) => RootfsFound::Here(rootfs),
                None => RootfsFound::Whole,
            };
        }
        Ok(self)
    }
}

/// Looks up what is known of an image.
///
/// # Errors
/// When it could not be gathered, or the store cannot be read.
pub(super) fn begin<'r>(
    session: &Session<'_>,
    gathered: Result<Gathered<'r>, ComposeError>,
    policy: CachePolicy,
) -> Result<Begun<'r>, ComposeError> {
    let gathered = gathered?;
    let keys: Vec<ActionKey> = gathered.platforms.iter().map(|platform| key::of_rootfs(&gathered, platform)).collect();
    let config = config_of(gathered.request.image)?;
    let image_key = image_key(gathered.request, &keys, &config);
    let known = match policy {
        CachePolicy::Trust => match session.action(&image_key)? {
            Some(value) => ImageRecord::recall(session, &value)?,
            None => None,
        },
        CachePolicy::Verify => None,
    };
    let look_up = if let Some(known) = known {
        LookUp::Image(Box::new(known))
    } else {
        let one = |(key, platform): (&ActionKey, &Platform)| -> Result<_, ComposeError> {
            let known = RootfsRecord::recall(session, key)?;
            Ok(match known {
                Some(known) => RootfsFound::Here(known),
                None => Extension::of(&gathered, platform)
                    .map_or(RootfsFound::Whole, |extension| RootfsFound::On(Box::new(extension))),
            })
        };
        LookUp::Rootfs(keys.iter().zip(&gathered.platforms).map(one).collect::<Result<_, _>>()?)
    };
    Ok(Begun { gathered, config, keys, image_key, look_up })
}

/// Plans and makes what is not known of an image, and remembers it.
///
/// # Errors
/// When something of it cannot be planned or made.
pub(super) fn finish(session: &Session<'_>, begun: Begun<'_>) -> Result<Composed, ComposeError> {
    let Begun { gathered, config, keys, image_key, look_up } = begun;
    let request = gathered.request;
    let known = match look_up {
        LookUp::Image(known) => {
            let keeps = vec![ObjectRef::Action(image_key)];
            // An unchanged root is not set again: a hit takes no lease, and writes once a day that it was used.
            session.keep_under_root(request.root_name(), keeps)?;
            tracing::debug!("image {} is remembered", request.image.name);
            *known
        }
        LookUp::Rootfs(found) => {
            let rootfs = all_rootfs(session, &gathered, found)?;
            let mut known = document(session, request, &rootfs, &config)?;
            known.made_of = MadeOf::new(&keys, &gathered);
            remember(session, request, image_key, &keys, &known, &rootfs);
            known
        }
    };
    let ImageRecord { documents, packs, date, notes, .. } = known;
    let (packages, versions) = (gathered.packages, gathered.versions());
    let notes = notes.into_iter().map(|note| with_line(note, request.image)).collect();
    // Whose layers those are that were made is known when all images are composed.
    let made = BTreeSet::new();
    Ok(Composed { documents, packs, made, date, packages, versions, notes })
}

/// Plans the rootfs that are not here, and makes the packs that are missing.
fn all_rootfs(
    session: &Session<'_>,
    gathered: &Gathered<'_>,
    found: Vec<RootfsFound>,
) -> Result<Vec<RootfsRecord>, ComposeError> {
    let planned = batches::plan(
        session,
        gathered,
        |at| matches!(found[at], RootfsFound::Here(_)),
        |planned| {
            let layers: Vec<_> =
                planned.iter().flatten().map(|one| (&one.rootfs, one.plan.layers.as_slice())).collect();
            packs::make(session, &layers, gathered.request.codec)?;
            Ok(planned.into_iter().map(|one| one.map(|one| RootfsRecord::of(one.plan, one.notes))).collect())
        },
    )?;
    let both = found.into_iter().zip(planned).map(|both| match both {
        (RootfsFound::Here(rootfs), _) | (_, Some(rootfs)) => rootfs,
        (_, None) => unreachable!("what was not here was planned"),
    });
    Ok(both.collect())
}

fn document(
    session: &Session<'_>,
    request: &Request<'_>,
    rootfs: &[RootfsRecord],
    config: &Config,
) -> Result<ImageRecord, ComposeError> {
    let mut packs = BTreeMap::new();
    let mut platforms = Vec::new();
    for (arch, rootfs) in request.architectures.iter().zip(rootfs) {
        let mut layers = Vec::new();
        for (key, title) in &rootfs.layers {
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
        let created = request.date.unwrap_or(rootfs.date);
        platforms.push(dlstore_oci::Platform { arch: *arch, created, layers, config: config.clone() });
    }
    let content = ImageContent { annotations: request.image.annotations.clone(), platforms };
    let documents = documents::documents(&content)?;
    let date = rootfs.iter().map(|one| one.date).max().unwrap_or(0);
    let notes = joined(request, rootfs.iter().map(|one| one.notes.as_slice()));
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
    keys: &[ActionKey],
    known: &ImageRecord,
    rootfs: &[RootfsRecord],
) {
    for (rootfs_key, rootfs) in keys.iter().zip(rootfs) {
        let mut refs: Vec<ObjectRef> = rootfs.names().collect();
        refs.sort();
        refs.dedup();
        session.add_action(NewAction { key: *rootfs_key, kind: "root".into(), value: rootfs.encode(), refs });
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

/// Gives the runtime configuration of an image with its user in numbers.
///
/// # Errors
/// When nobody is called as its user is.
pub fn config_of(image: &Image) -> Result<Config, ComposeError> {
    let mut config = image.config.clone();
    if let Some(user) = &image.config.user {
        let (uid, gid) = CheckError::user_of(image, user)?;
        config.user = (user != "root").then(|| format!("{uid}:{gid}"));
    }
    Ok(config)
}

/// The key of an image: everything that decides its documents. The page is `store-schema/KEYS.md`.
fn image_key(request: &Request<'_>, rootfs: &[ActionKey], config: &Config) -> ActionKey {
    let mut key = KeyBuilder::new("image 5");
    key.number(u64::from(GENERATOR));
    key.list(rootfs, |key, rootfs| {
        key.bytes(rootfs.as_bytes());
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
