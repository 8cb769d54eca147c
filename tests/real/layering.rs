//! How files are cut into layers changes the layers and not the files; what is equal is one layer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

use dlstore_kit::images::{ARCHITECTURES, Image, Set, sets};
use dlstore_kit::layers::{self, Item, assert_same, flatten};
use dlstore_kit::{Layout, Place, images, lifetime, program};

/// A set once more, with each kind of layers, out of the same store.
fn others() -> &'static Vec<(&'static Set, Set)> {
    static OTHERS: OnceLock<Vec<(&'static Set, Set)>> = OnceLock::new();
    OTHERS.get_or_init(|| {
        let mut others = Vec::new();
        for set in sets(program!()) {
            for kind in ["package", "flat"] {
                let layout = Layout(lifetime::directory().join(format!("{kind}-{}", others.len())));
                let references: Vec<&str> = set.images.iter().map(|image| image.reference.as_str()).collect();
                let images = images::compose(&set.place, &references, &set.from, &layout, &["--layers", kind]);
                let place = Place::within(program!(), lifetime::directory());
                others.push((set, Set { place, layout, from: set.from.clone(), images }));
            }
        }
        others
    })
}

fn all() -> impl Iterator<Item = (&'static Set, &'static Image)> {
    let sets = sets(program!()).into_iter().chain(others().iter().map(|(_, set)| set));
    sets.flat_map(|set| set.images.iter().map(move |image| (set, image)))
}

#[test]
fn grouped_package_and_flat_layers_hold_the_same_files() {
    for (set, other) in others() {
        for (grouped, image) in set.images.iter().zip(&other.images) {
            assert_eq!(image.reference, grouped.reference);
            for arch in ARCHITECTURES {
                let at = format!("{} on {}", image.reference, arch.oci);
                assert_same(&flatten(set, grouped, arch.oci), &flatten(other, image, arch.oci), &at);
            }
        }
    }
}

#[test]
fn equal_layers_are_one_layer() {
    let mut by_content: HashMap<String, BTreeSet<&str>> = HashMap::new();
    let mut by_digest: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (set, image) in all() {
        for platform in &image.platforms {
            for layer in &platform.layers {
                by_digest.entry(&layer.digest).or_default().insert(&layer.diff_id);
                if by_digest[layer.digest.as_str()].len() == 1 {
                    let content = format!("{:?}", layers::layer(set, &layer.digest));
                    by_content.entry(content).or_default().insert(&layer.digest);
                }
            }
        }
    }
    assert!(by_digest.values().all(|diff_ids| diff_ids.len() == 1), "{by_digest:?}");
    let twice: Vec<_> = by_content.values().filter(|digests| digests.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn what_is_the_same_on_all_architectures_is_one_layer_of_all_images() {
    for (set, image) in all() {
        let mut digests: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for layer in image.platforms.iter().flat_map(|platform| &platform.layers) {
            digests.entry(&layer.title).or_default().insert(&layer.digest);
        }
        for (title, digests) in digests.iter().filter(|(title, _)| title.ends_with("all architectures")) {
            let at = format!("{}: {title}", image.reference);
            if image.reference.ends_with(":alpine") {
                // Alpine builds its data anew for each architecture: the links differ in their dates.
                let contents: BTreeSet<String> = digests.iter().map(|digest| undated(set, digest)).collect();
                assert_eq!(contents.len(), 1, "{at}");
            } else {
                assert_eq!(digests.len(), 1, "{at}");
            }
        }
    }
    let Some(set) = images::debian(program!()) else { return };
    let bottom = |reference: &str| &set.image(reference).platforms[0].layers[0].digest;
    assert_eq!(bottom("static:debian"), bottom("glibc-dynamic"));
    assert_eq!(bottom("static:debian"), bottom("static:debug"));
    // The same files for another user are the same layers.
    for arch in ARCHITECTURES {
        let [default, nonroot] = ["glibc-dynamic", "glibc-dynamic:nonroot"].map(|reference| {
            set.image(reference).platform(arch.oci).layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>()
        });
        assert_eq!(default, nonroot);
    }
}

/// The entries of a layer without their dates.
fn undated(set: &Set, digest: &str) -> String {
    let entries = layers::layer(set, digest);
    let undated: Vec<_> = entries.iter().map(|(path, item)| (path, Item { mtime: 0, ..item.clone() })).collect();
    format!("{undated:?}")
}
