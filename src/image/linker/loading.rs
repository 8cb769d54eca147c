//! What a loader loads for one program: its libraries, theirs, and so on, in the loader's order.
//!
//! A library is looked for under a name that a file asks for, unless one has been loaded under it: glibc's loader knows a
//! library by every name that it was asked for under and by its `SONAME`, musl's by the first name alone. Both go through
//! the files in the order in which they were loaded, and through the names of each in order (`_dl_map_object_deps` in
//! `elf/dl-deps.c`, `load_deps` in `ldso/dynlink.c`).
//!
//! Where they look depends on who loaded whoever asks. glibc's loader searches the `RPATH` of whoever asks, of its loader
//! and so on up to the program, unless whoever asks has a `RUNPATH`; then the environment; then that `RUNPATH`
//! (`_dl_map_new_object` in `elf/dl-load.c`). musl's searches the environment, and then either run path of all of them. What
//! the configuration says comes last.
//!
//! Packages decide how much that is: so the steps are counted, and [`Spent`] says that there were too many. The steps are
//! those of all programs that one [`Loading`] is asked about.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::rc::Rc;

use super::libraries::{Libraries, is_musl_itself};
use super::run_path::{self, Way};
use dlstore_formats::elf::{Elf, SearchTag};
use dlstore_model::path::TreePath;

/// Most steps: directories that are looked at for a name, and files between who asks and the program. A program of a
/// distribution takes some hundred; this is some seconds' work at most.
const MOST_STEPS: usize = 3_000_000;
/// Steps that a name takes by itself.
const COST_OF_NAME: usize = 3;
/// Steps that it takes to look at what stands in a directory under a name.
const COST_OF_FILE: usize = 10;

/// Tells that following what is loaded takes too many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("takes too many lookups")]
pub(crate) struct Spent;

/// What a loader has for a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<'v, E> {
    /// A library; none is the loader itself.
    Loaded(Option<&'v Elf>),
    /// One that is there, at a path as the loader spells it, and may not be opened.
    Refused(Vec<u8>, E),
    /// Nothing.
    Missing,
}

/// A file that is to be opened.
pub(crate) struct Candidate<'c> {
    /// The way to its directory; `None` when it is asked for by its path.
    pub(crate) way: Option<&'c Way>,
    /// The path, as the loader spells it.
    pub(crate) place: &'c [u8],
    /// The name that it is asked for under.
    pub(crate) name: &'c [u8],
}

/// Follows what loaders do.
pub(crate) struct Loading<'l, 'v> {
    libraries: &'l Libraries<'v>,
    left: usize,
    /// Run paths by file, and by where the loader found that.
    run_paths: HashMap<(TreePath, Vec<u8>), Rc<[Way]>>,
}

/// A file that has been loaded.
struct Loaded<'v> {
    file: TreePath,
    elf: &'v Elf,
    run_path: Rc<[Way]>,
    /// Who asked for it first.
    by: Option<usize>,
    /// How many files asked for one another before that.
    depth: usize,
}

/// One program that is being loaded.
struct Process<'v> {
    is_musl: bool,
    environment: Vec<Way>,
    /// In the order in which they were loaded, the program first.
    all: Vec<Loaded<'v>>,
    by_name: HashMap<&'v [u8], usize>,
    by_file: HashMap<TreePath, usize>,
    /// Names of the loader itself.
    loader: HashSet<Vec<u8>>,
}

impl<'l, 'v> Loading<'l, 'v> {
    /// Begins with no program.
    pub(crate) fn new(libraries: &'l Libraries<'v>) -> Self {
        Self { libraries, left: MOST_STEPS, run_paths: HashMap::new() }
    }

    /// Loads a program with all libraries that `may_open`; gives each file with what there is for each of its names, each
    /// once and in order, to `visit`, until that has seen enough.
    ///
    /// # Errors
    /// When that takes too many steps.
    pub(crate) fn program<E>(
        &mut self,
        path: &TreePath,
        mut may_open: impl FnMut(&Candidate<'_>) -> Result<(), E>,
        mut visit: impl FnMut(&TreePath, Vec<(&'v [u8], Answer<'v, E>)>) -> ControlFlow<()>,
    ) -> Result<(), Spent> {
        let view = self.libraries.view;
        let Some(elf) = view.elf(path) else { return Ok(()) };
        let mut process = self.begin(path, elf)?;
        let mut at = 0;
        while at < process.all.len() {
            let elf = process.all[at].elf;
            let mut named: HashSet<&[u8]> = HashSet::new();
            let mut answers = Vec::new();
            for name in elf.needed.iter().map(Vec::as_slice).filter(|name| named.insert(name)) {
                self.spend(COST_OF_NAME)?;
                let answer = self.answer(&mut process, at, name, &mut may_open)?;
                let is_refused = matches!(answer, Answer::Refused(..));
                answers.push((name, answer));
                if is_refused {
                    break;
                }
            }
            if visit(view.name_of_file(&process.all[at].file), answers).is_break() {
                break;
            }
            at += 1;
        }
        Ok(())
    }

    fn begin(&mut self, path: &TreePath, elf: &'v Elf) -> Result<Process<'v>, Spent> {
        let view = self.libraries.view;
        let is_musl = self.libraries.uses_musl(elf);
        let mut loader = HashSet::new();
        if let Some(name) = &elf.interpreter {
            let at = TreePath::new(name.strip_prefix(b"/").unwrap_or(name)).ok().and_then(|at| view.follow(&at));
            loader.extend(at.as_ref().and_then(|at| view.elf(at)?.soname.clone()));
            loader.extend(at.map(|at| at.name().to_vec()));
            loader.extend(name.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec));
        }
        let environment = self.libraries.of_environment(is_musl, path, Some(path));
        let run_path = self.run_path(path, &run_path::origin(path), elf)?;
        let by_file = HashMap::from([(view.name_of_file(path).clone(), 0)]);
        let program = Loaded { file: path.clone(), elf, run_path, by: None, depth: 0 };
        Ok(Process { is_musl, environment, all: vec![program], by_name: HashMap::new(), by_file, loader })
    }

    /// Gives what there is for a name that the file with the number `at` asks for, and loads it.
    fn answer<E>(
        &mut self,
        process: &mut Process<'v>,
        at: usize,
        name: &'v [u8],
        may_open: &mut impl FnMut(&Candidate<'_>) -> Result<(), E>,
    ) -> Result<Answer<'v, E>, Spent> {
        if process.is_musl && is_musl_itself(name) || process.loader.contains(name) {
            return Ok(Answer::Loaded(None));
        }
        if let Some(known) = process.by_name.get(name) {
            return Ok(Answer::Loaded(Some(process.all[*known].elf)));
        }
        let elf = process.all[at].elf;
        let is_path = name.contains(&b'/');
        let mut refused = None;
        let mut found = None;
        let mut look = |way: Option<&Way>, file: TreePath| {
            let place = match way {
                Some(way) => way.place(name),
                None => [b"/", name.strip_prefix(b"/").unwrap_or(name)].concat(),
            };
            match may_open(&Candidate { way, place: &place, name }) {
                Ok(()) => found = Some((place, file)),
                Err(why) => {
                    refused.get_or_insert((place, why));
                }
            }
            found.is_some()
        };
        if is_path {
            self.libraries.at(name).map(|file| look(None, file));
        } else {
            let Some(holders) = self.libraries.holders(name) else { return Ok(Answer::Missing) };
            self.spend(process.all[at].depth)?;
            for way in process.ways(at, self.libraries.of_loader(process.is_musl)) {
                let is_there = holders.contains(&way.directory);
                self.spend(if is_there { COST_OF_FILE } else { 1 })?;
                if is_there && self.libraries.on(way, elf, name).is_some_and(|file| look(Some(way), file)) {
                    break;
                }
            }
        }
        let Some((place, file)) = found else {
            return Ok(refused.map_or(Answer::Missing, |(place, why)| Answer::Refused(place, why)));
        };
        let view = self.libraries.view;
        let Some(found) = view.elf(&file) else { return Ok(Answer::Loaded(None)) };
        let key = view.name_of_file(&file).clone();
        if let Some(known) = process.by_file.get(&key) {
            // musl remembers the first name alone, and looks for another one each time.
            if !process.is_musl || !process.by_name.values().any(|number| number == known) {
                process.by_name.insert(name, *known);
            }
            return Ok(Answer::Loaded(Some(found)));
        }
        let (number, depth) = (process.all.len(), process.all[at].depth + 1);
        let directory = &place[..place.iter().rposition(|byte| *byte == b'/').unwrap_or(0)];
        let run_path = self.run_path(&file, directory, found)?;
        if !(process.is_musl && is_path) {
            process.by_name.insert(name, number);
        }
        if let Some(soname) = found.soname.as_deref().filter(|_| !process.is_musl) {
            process.by_name.entry(soname).or_insert(number);
        }
        process.by_file.insert(key, number);
        process.all.push(Loaded { file, elf: found, run_path, by: Some(at), depth });
        Ok(Answer::Loaded(Some(found)))
    }

    /// Gives the run path of a file that a loader found in a directory.
    fn run_path(&mut self, file: &TreePath, directory: &[u8], elf: &Elf) -> Result<Rc<[Way]>, Spent> {
        if elf.search.is_empty() {
            return Ok(Rc::default());
        }
        let key = (file.clone(), directory.to_vec());
        if let Some(known) = self.run_paths.get(&key) {
            return Ok(Rc::clone(known));
        }
        let length: usize = elf.search.iter().map(|entry| entry.len() + directory.len()).sum();
        self.spend(elf.search.len() + length / 16)?;
        // One that is too long is an error already.
        let ways: Rc<[Way]> = run_path::of_file(self.libraries.view, file, directory, elf).unwrap_or_default().into();
        self.run_paths.insert(key, Rc::clone(&ways));
        Ok(ways)
    }

    fn spend(&mut self, steps: usize) -> Result<(), Spent> {
        self.left = self.left.checked_sub(steps).ok_or(Spent)?;
        Ok(())
    }
}

impl Process<'_> {
    /// Gives the directories that are looked through for the file with the number `at`, in order.
    fn ways<'p>(&'p self, at: usize, last: &'p [Way]) -> impl Iterator<Item = &'p Way> {
        let chain = std::iter::successors(Some(at), |at| self.all[*at].by).map(|at| &self.all[at]);
        let has_own =
            !self.is_musl && self.all[at].elf.search_by == SearchTag::RunPath && !self.all[at].elf.search.is_empty();
        let is_taken = move |of: &&Loaded<'_>| self.is_musl || !has_own && of.elf.search_by == SearchTag::RPath;
        let inherited = chain.filter(is_taken).flat_map(|of| of.run_path.iter());
        let own = if has_own { &*self.all[at].run_path } else { &[] };
        // The environment comes first of all with musl, and after an `RPATH` with glibc.
        let (first, second) = if self.is_musl { (&*self.environment, &[][..]) } else { (&[][..], &*self.environment) };
        first.iter().chain(inherited).chain(second).chain(own).chain(last)
    }
}
