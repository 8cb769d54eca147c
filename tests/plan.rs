//! The plan of an image: what it says before anything is made, and that what it says is what is made.

#![cfg(test)]

use dlstore_formats::layer::Codec;
use dlstore_image::choice::PackageSource;
use dlstore_image::compose::{
    AfterAnError, CachePolicy, ComposePlan, Composed, PackState, Reach, Request, compose_all, plan_all,
};
use dlstore_image::definition::{self, Image, Layering};
use dlstore_kit::{Place, packages, place};
use dlstore_model::arch::Arch;
use dlstore_store::session::Session;
use dlstore_store::{Access, Store};

const ARCHITECTURES: [Arch; 2] = [Arch::Amd64, Arch::Arm64];

const DEFINITION: &str = r#"schema = 1
format = "deb"
packages = ["aa-all"]
arch.amd64.packages = ["bb-amd64"]
arch.arm64.packages = ["bb-arm64"]
architectures = ["amd64", "arm64"]
files."/etc/own" = { content = "own\n" }
"#;

/// A store, packages for two architectures and an image of them.
struct Base {
    place: Place,
    image: Image,
}

impl Base {
    fn new() -> Self {
        let place = place!();
        for (number, (name, arch)) in [("aa", "all"), ("bb", "amd64"), ("bb", "arm64")].into_iter().enumerate() {
            let deb = packages::deb(&format!("{name}-{arch}"), number as u64, arch);
            place.package(&format!("{name}_{arch}.deb"), &deb.build());
        }
        let image = Self::read(&place, DEFINITION);
        Self { place, image }
    }

    fn read(place: &Place, definition: &str) -> Image {
        place.image("app", definition);
        definition::load(&place.project(), "app").unwrap()
    }

    fn store(&self) -> Store {
        Store::open(&self.place.store(), Access::Create).unwrap()
    }

    fn package_source(&self) -> PackageSource {
        let inputs = dlstore_ingest::input::collect(&[self.place.packages()]).unwrap();
        PackageSource::of_inputs(inputs, &self.store()).unwrap()
    }

    fn request<'r>(&'r self, package_source: &'r PackageSource) -> Request<'r> {
        let layering = Layering::Grouped;
        Request {
            image: &self.image,
            architectures: &ARCHITECTURES,
            package_source,
            layering,
            codec: Codec::Gzip,
            date: None,
        }
    }

    fn plan(&self, session: &Session<'_>, package_source: &PackageSource) -> ComposePlan {
        plan_all(session, &[self.request(package_source)], AfterAnError::Stop).pop().unwrap().unwrap()
    }

    /// Composes and publishes.
    fn compose(&self, store: &Store, package_source: &PackageSource) -> Composed {
        let session = Session::new(store, "test");
        let composed =
            compose_all(&session, &[self.request(package_source)], CachePolicy::Trust, AfterAnError::Stop, &|_| ());
        session.finish().unwrap();
        composed.into_iter().next().unwrap().unwrap()
    }
}

/// The same plan, with nothing said of what is here.
fn stateless(mut plan: ComposePlan) -> ComposePlan {
    for layer in plan.platforms.iter_mut().flat_map(|platform| &mut platform.layers) {
        layer.state = PackState::Missing;
        layer.components.iter_mut().for_each(|component| component.state = PackState::Missing);
    }
    plan
}

fn titles(plan: &ComposePlan, arch: Arch) -> Vec<(&str, Vec<&str>)> {
    let platform = plan.platforms.iter().find(|platform| platform.architecture == arch).unwrap();
    let layers = platform.layers.iter();
    layers
        .map(|layer| (layer.title.as_str(), layer.components.iter().map(|one| one.origin.as_str()).collect()))
        .collect()
}

#[test]
fn a_plan_names_every_component_of_every_layer() {
    let base = Base::new();
    let store = base.store();
    let plan = base.plan(&Session::new(&store, "test"), &base.package_source());
    assert_eq!((plan.image.as_str(), plan.flavor.as_str(), plan.codec), ("app", "default", Codec::Gzip.name()));
    for (arch, package) in [(Arch::Amd64, "deb:bb-amd64=1.1-1/amd64"), (Arch::Arm64, "deb:bb-arm64=1.2-1/arm64")] {
        let expected = [
            (
                "app, all architectures".to_owned(),
                vec!["deb:aa-all=1.0-1/all", "definition:app", "fixup:accounts+os-release+nsswitch"],
            ),
            (format!("app, {arch}"), vec![package, "fixup:usr-merge+dpkg-database"]),
        ];
        let expected: Vec<(&str, Vec<&str>)> =
            expected.iter().map(|(title, origins)| (title.as_str(), origins.clone())).collect();
        assert_eq!(titles(&plan, arch), expected);
    }
    let all = &plan.platforms[0].layers[0];
    assert_eq!(*all, plan.platforms[1].layers[0], "what all architectures share is one layer");
    let own = &all.components[1];
    assert_eq!((own.reach, own.files, own.bytes), (Reach::All, 1, 4));
    let package = &all.components[0];
    // Data, small text, settings and copyright; the other name of one, and the changelog that is left out, are none.
    assert_eq!((package.files, package.bytes), (4, 70_000 + 300 + 12 + 5));
}

#[test]
fn a_plan_makes_nothing_and_says_what_is_to_be_made() {
    let base = Base::new();
    let store = base.store();
    let first = {
        let session = Session::new(&store, "test");
        base.plan(&session, &base.package_source())
    };
    assert!(!first.is_here());
    assert!(first.layers().all(|layer| layer.state == PackState::Missing));
    let session = Session::new(&store, "test");
    let gone = plan_all(&session, &[base.request(&PackageSource::Store)], AfterAnError::Stop).pop().unwrap();
    let error = gone.unwrap_err().to_string();
    assert!(error.starts_with("no deb package aa-all for amd64, arm64"), "nothing of it was left behind: {error}");
    assert_eq!(base.plan(&session, &base.package_source()), first, "the same again");
}

#[test]
fn the_plan_of_what_was_composed_says_that_everything_is_here() {
    let base = Base::new();
    let store = base.store();
    let planned = base.plan(&Session::new(&store, "test"), &base.package_source());
    let composed = base.compose(&store, &base.package_source());
    let session = Session::new(&store, "test");
    let plan = base.plan(&session, &PackageSource::Store);
    assert!(plan.is_here());
    assert!(plan.layers().flat_map(|layer| &layer.components).all(|one| one.state != PackState::Missing));
    assert_eq!(stateless(plan.clone()), stateless(planned), "and it is the plan that was made before");
    let mut packs: Vec<_> = composed.packs.values().copied().collect();
    let mut named: Vec<_> = plan.layers().map(|layer| layer.pack).collect();
    packs.sort();
    named.sort();
    named.dedup();
    assert_eq!(named, packs, "the layers that were made are those of the plan");
    assert_eq!(composed.date, plan.platforms.iter().map(|platform| platform.date).max().unwrap());
}

#[test]
fn one_file_that_changed_is_one_component_to_make() {
    let mut base = Base::new();
    let store = base.store();
    base.compose(&store, &base.package_source());
    base.image = Base::read(&base.place, &DEFINITION.replace("own\\n", "another\\n"));
    let session = Session::new(&store, "test");
    let plan = base.plan(&session, &PackageSource::Store);
    let states: Vec<PackState> = plan.platforms[0].layers.iter().map(|layer| layer.state).collect();
    assert_eq!(states, [PackState::Missing, PackState::Here]);
    let components = &plan.platforms[0].layers[0].components;
    let states: Vec<(&str, PackState)> = components.iter().map(|one| (one.origin.as_str(), one.state)).collect();
    assert_eq!(
        states,
        [
            ("deb:aa-all=1.0-1/all", PackState::Here),
            ("definition:app", PackState::Missing),
            ("fixup:accounts+os-release+nsswitch", PackState::Here)
        ]
    );
    let unneeded = plan.platforms[0].layers[1].components.iter().all(|one| one.state == PackState::Unneeded);
    assert!(unneeded, "a layer that is here needs none of its components");
}

#[test]
fn a_plan_is_data_that_can_be_written_as_json() {
    let base = Base::new();
    let store = base.store();
    let plan = base.plan(&Session::new(&store, "test"), &base.package_source());
    let json = serde_json::to_value(&plan).unwrap();
    let layer = &json["platforms"][0]["layers"][0];
    assert_eq!(json["platforms"][0]["architecture"], "amd64");
    assert_eq!(layer["pack"], plan.platforms[0].layers[0].pack.to_string());
    assert_eq!(layer["state"], "missing");
    assert_eq!(layer["components"][1]["reach"], "all");
    assert_eq!(layer["components"][1]["tree"], plan.platforms[0].layers[0].components[1].tree.to_string());
}
