//! What commands reported as done, held against what a store has afterwards.
//!
//! A few packages and images, each with the roots that its command sets (asked of the program, once, on a
//! store of its own) and the digest that a fresh store gives. Workers perform [`Step`]s, each on roots that no
//! other worker touches. A root is `Kept` or `Gone` from the moment at which a command that sets or removes
//! it has ended well, and `Open` while one is under way or after one that was cut off: then either is right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Child;
use std::sync::Mutex;

use serde_json::Value;

use dlstore_kit::{Done, Layout, Place, packages};

/// What is known of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Gone,
    Open,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Adds a package, or lets go of it when it is kept.
    Package(usize),
    /// Adds a package, known or not.
    Add(usize),
    /// Composes an image into a layout.
    Compose(usize, &'static str),
    /// Lets go of an image when it is kept, or composes it.
    Image(usize, &'static str),
    /// Collects without grace.
    Collect,
    /// Verifies everything.
    Verify,
}

struct Thing {
    /// The package's file or the image's name.
    name: String,
    roots: Vec<String>,
    /// What composing prints on a fresh store.
    line: String,
}

/// The packages and images of a place, and what was reported of them.
pub(crate) struct Ledger<'p> {
    place: &'p Place,
    packages: Vec<Thing>,
    images: Vec<Thing>,
    fates: Mutex<BTreeMap<String, Fate>>,
}

/// Packages that are added and let go of, in no image.
pub(crate) const PACKAGES: usize = 8;

/// Packages of the images, which composing adds, with their roots.
const PARTS: usize = 5;

/// Images, with what is said of each beside the schema.
const IMAGES: [(&str, &str); 4] = [
    ("first", "format = \"deb\"\npackages = [\"q0\", \"q1\", \"q2\"]\n"),
    ("second", "format = \"deb\"\npackages = [\"q1\", \"q3\"]\nlayers = \"package\"\n"),
    (
        "third",
        "extends = \"first\"\nformat = \"deb\"\npackages = [\"q4\"]\nlabels.a = \"b\"\nfiles.\"/etc/own\" = { content = \"own\\n\" }\n",
    ),
    ("fourth", "extends = \"static\"\nlabels.a = \"b\"\n"),
];

impl<'p> Ledger<'p> {
    /// Makes packages and definitions, and learns from a first store what comes of them; that store is
    /// removed again.
    pub(crate) fn new(place: &'p Place) -> Self {
        let file = |number: usize| format!("p{number}_amd64.deb");
        for number in 0..PACKAGES {
            let deb = packages::deb(&format!("p{number}"), number as u64, "amd64");
            place.package(&file(number), &deb.build());
        }
        for number in 0..PARTS {
            let deb = packages::deb(&format!("q{number}"), 50 + number as u64, "amd64");
            place.package(&format!("parts/q{number}_amd64.deb"), &deb.build());
        }
        for (name, text) in IMAGES {
            place.image(name, &format!("schema = 1\narchitectures = [\"amd64\"]\n{text}"));
        }
        let mut ledger = Self { place, packages: Vec::new(), images: Vec::new(), fates: Mutex::default() };
        place.ok(["add", "../packages/parts"]);
        let mut known = ledger.roots();
        let mut new_roots = |ledger: &Self| {
            let before = std::mem::replace(&mut known, ledger.roots());
            known.difference(&before).cloned().collect()
        };
        for number in 0..PACKAGES {
            ledger.packages.push(Thing { name: file(number), roots: Vec::new(), line: String::new() });
            place.ok(ledger.arguments(Step::Add(number)));
            ledger.packages[number].roots = new_roots(&ledger);
        }
        for (number, (name, _)) in IMAGES.into_iter().enumerate() {
            ledger.images.push(Thing { name: name.into(), roots: Vec::new(), line: String::new() });
            ledger.images[number].line = place.ok(ledger.arguments(Step::Compose(number, "learned")));
            ledger.images[number].roots = new_roots(&ledger);
        }
        for thing in ledger.packages.iter().chain(&ledger.images) {
            assert!(!thing.roots.is_empty(), "{} sets no root", thing.name);
            let mut fates = ledger.fates.lock().unwrap();
            for root in &thing.roots {
                assert_eq!(fates.insert(root.clone(), Fate::Gone), None, "{root} belongs to two");
            }
        }
        fs::remove_dir_all(place.project().join("learned")).unwrap();
        fs::remove_dir_all(place.store()).unwrap();
        ledger
    }

    /// Images that there are.
    pub(crate) fn images(&self) -> usize {
        self.images.len()
    }

    /// The store is about to be removed: nothing is in it any more.
    pub(crate) fn forget(&self) {
        self.fates.lock().unwrap().values_mut().for_each(|fate| *fate = Fate::Gone);
    }

    /// Says whether something was reported as done since the store was made.
    pub(crate) fn has_reports(&self) -> bool {
        self.fates.lock().unwrap().values().any(|fate| *fate == Fate::Kept)
    }

    fn roots(&self) -> BTreeSet<String> {
        let listed = self.place.json(&["store", "roots", "list"]);
        listed["roots"].as_array().unwrap().iter().map(|root| root["name"].as_str().unwrap().to_owned()).collect()
    }

    fn thing(&self, step: Step) -> Option<&Thing> {
        match step {
            Step::Package(number) | Step::Add(number) => Some(&self.packages[number]),
            Step::Compose(number, _) | Step::Image(number, _) => Some(&self.images[number]),
            Step::Collect | Step::Verify => None,
        }
    }

    fn arguments(&self, step: Step) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        match step {
            Step::Package(number) | Step::Add(number) => {
                words(&["add", &format!("../packages/{}", self.packages[number].name)])
            }
            Step::Compose(number, layout) | Step::Image(number, layout) => {
                let name = &self.images[number].name;
                let output = format!("oci:{layout}:{name}");
                words(&["compose", name, "--arch", "amd64", "--from", "../packages/parts", "-o", &output])
            }
            Step::Collect => words(&["store", "gc", "--grace", "0"]),
            Step::Verify => words(&["store", "verify", "--full"]),
        }
    }

    /// Does a step. `end` waits for the child, or ends it; a child that was ended gives `None`.
    ///
    /// # Errors
    /// What it said, when it failed by itself or made something else than a fresh store does.
    pub(crate) fn perform(&self, step: Step, end: impl FnOnce(Child) -> Option<Done>) -> Result<(), String> {
        let mut fate = Fate::Kept;
        let mut arguments = self.arguments(step);
        let thing = self.thing(step);
        if let Some(thing) = thing {
            let mut fates = self.fates.lock().unwrap();
            if matches!(step, Step::Package(_) | Step::Image(..)) && fates[&thing.roots[0]] == Fate::Kept {
                fate = Fate::Gone;
                arguments = ["store", "roots", "remove"].map(str::to_owned).to_vec();
                arguments.extend(thing.roots.iter().cloned());
            }
            // What is set once more stays set, whatever becomes of the command.
            let all_kept = thing.roots.iter().all(|root| fates[root] == Fate::Kept);
            if fate == Fate::Gone || !all_kept {
                thing.roots.iter().for_each(|root| _ = fates.insert(root.clone(), Fate::Open));
            }
        }
        let Some(done) = end(self.place.command(&arguments).spawn().unwrap()) else { return Ok(()) };
        if !done.status.success() {
            return Err(format!("{arguments:?}: {done:?}"));
        }
        if let Some(thing) = thing {
            let mut fates = self.fates.lock().unwrap();
            thing.roots.iter().for_each(|root| _ = fates.insert(root.clone(), fate));
            if arguments[0] == "compose" && done.out != thing.line {
                return Err(format!("{arguments:?}: {} instead of {}", done.out, thing.line));
            }
        }
        Ok(())
    }

    /// Nobody works here: the store is sound, nothing that was reported is lost, what was let go of is gone,
    /// and what is added and composed now is what a fresh store gives. From here on every root is known.
    #[track_caller]
    pub(crate) fn assert_holds(&self, at: &str) {
        let (findings, _) = self.place.verified();
        assert!(findings.is_empty(), "{at}: {findings:#?}");
        let found = self.roots();
        for (root, fate) in self.fates.lock().unwrap().iter_mut() {
            match (*fate, found.contains(root)) {
                (Fate::Kept, false) => panic!("{at}: {root} was reported and is lost"),
                (Fate::Gone, true) => panic!("{at}: {root} was let go of and is back"),
                (_, true) => *fate = Fate::Kept,
                (_, false) => *fate = Fate::Gone,
            }
        }
        let listed = self.place.json(&["list"]);
        let listed: BTreeSet<_> =
            listed["packages"].as_array().unwrap().iter().map(|one| one["name"].as_str()).collect();
        for thing in self.packages.iter().filter(|thing| found.contains(&thing.roots[0])) {
            let name = thing.name.split('_').next();
            assert!(listed.contains(&name), "{at}: the root of {} is there, and the package is not", thing.name);
        }
    }

    /// Does everything once more, without a disturbance, into layouts that were cut off as well.
    #[track_caller]
    pub(crate) fn assert_finishes(&self, layouts: &[&'static str], at: &str) {
        let kept: Vec<bool> = {
            let fates = self.fates.lock().unwrap();
            self.packages.iter().map(|thing| fates[&thing.roots[0]] == Fate::Kept).collect()
        };
        let whole = |child: Child| Some(dlstore_kit::done(child.wait_with_output().unwrap()));
        let done = self.place.json(&["add", "../packages"]);
        for package in done["added"].as_array().unwrap() {
            let path = package["path"].as_str().unwrap();
            let number = self.packages.iter().position(|thing| path.ends_with(&thing.name));
            let is_kept = number.is_some_and(|number| kept[number]);
            assert!(!is_kept || package["known"] == Value::Bool(true), "{at}: {path} was added and is not known");
        }
        let mut fates = self.fates.lock().unwrap();
        let roots = self.packages.iter().flat_map(|thing| &thing.roots);
        roots.for_each(|root| _ = fates.insert(root.clone(), Fate::Kept));
        drop(fates);
        for layout in layouts {
            for number in 0..self.images.len() {
                self.perform(Step::Compose(number, layout), whole).unwrap_or_else(|error| panic!("{at}: {error}"));
            }
            self.assert_whole(layout);
        }
        let (findings, _) = self.place.verified();
        assert!(findings.is_empty(), "{at}: {findings:#?}");
    }

    /// Reads all that a layout holds of the images: each blob is what its name says.
    #[track_caller]
    fn assert_whole(&self, layout: &str) {
        let layout = Layout(self.place.project().join(layout));
        for image in &self.images {
            let (_, index) = layout.index(&image.name);
            for platform in index["manifests"].as_array().unwrap() {
                let manifest = layout.document(platform["digest"].as_str().unwrap());
                layout.blob(manifest["config"]["digest"].as_str().unwrap());
                for layer in manifest["layers"].as_array().unwrap() {
                    layout.blob(layer["digest"].as_str().unwrap());
                }
            }
        }
    }
}
