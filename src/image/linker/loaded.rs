//! What a file has because of who loads it: libraries that are loaded already, or found by the run path of its loader.
//!
//! A file for which this is asked lacks something where it is looked at by itself (`libraries`). It has it after all if
//! every program that loads the file, at least one, has it when the file asks: a file that no program loads may be opened by
//! any (`dlopen(3)`), and nothing is known of that. A program is what names a loader and goes by no name itself; a
//! library may name a loader too, to be run by hand, and is what others load.
//!
//! It is looked at only when something is lacking, once for each program. When that takes too many steps all stays lacking.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

use super::libraries::{Lacks, Libraries};
use super::loading::{Answer, Candidate, Loading, Spent};
use dlstore_formats::elf::Elf;
use dlstore_model::path::TreePath;

/// A file, and what it lacks by itself.
pub(crate) struct Lacking<'v> {
    pub(crate) path: &'v TreePath,
    pub(crate) elf: &'v Elf,
    pub(crate) lacks: Lacks,
}

/// How many of the programs that load a file have what it lacks.
struct Count<'a> {
    programs: usize,
    /// By the name of a library: how many have one.
    names: HashMap<&'a [u8], usize>,
    /// By the name of a library: versions that it is to define, and how many have one that does.
    versions: HashMap<&'a [u8], Vec<(&'a [u8], usize)>>,
}

impl<'a> Count<'a> {
    fn of(lacks: &'a Lacks) -> Self {
        let mut versions: HashMap<&[u8], Vec<(&[u8], usize)>> = HashMap::new();
        for (library, version) in &lacks.versions {
            versions.entry(library).or_default().push((version, 0));
        }
        Self { programs: 0, names: lacks.names.iter().map(|name| (name.as_slice(), 0)).collect(), versions }
    }

    /// Counts a program that has a library for a name.
    fn add(&mut self, name: &[u8], library: Option<&Elf>) {
        if let Some(count) = self.names.get_mut(name) {
            *count += 1;
        }
        for (version, count) in self.versions.get_mut(name).into_iter().flatten() {
            let defines =
                |library: &Elf| library.defines.is_empty() || library.defines.iter().any(|one| one == version);
            *count += usize::from(library.is_none_or(defines));
        }
    }
}

/// Leaves out what files have because of who loads them.
pub(crate) fn settle(libraries: &Libraries<'_>, lacking: &mut [Lacking<'_>]) {
    let asks = |one: &Lacking<'_>| !(one.lacks.names.is_empty() && one.lacks.versions.is_empty());
    if !lacking.iter().any(asks) {
        return;
    }
    let counted = lacking.iter().filter(|one| asks(one)).map(|one| (one.path, Count::of(&one.lacks)));
    let Ok(counts) = count(libraries, counted.collect()) else { return };
    // What is there after all, by file: as numbers, for what is counted borrows from what is changed.
    let kept: Vec<Option<(Vec<bool>, Vec<bool>)>> = lacking
        .iter()
        .map(|one| {
            let count = counts.get(one.path).filter(|count| count.programs > 0)?;
            let is_missing = |found: Option<usize>| found != Some(count.programs);
            let names = one.lacks.names.iter().map(|name| is_missing(count.names.get(name.as_slice()).copied()));
            let versions = one.lacks.versions.iter().map(|(library, version)| {
                let versions = count.versions.get(library.as_slice()).into_iter().flatten();
                is_missing(versions.filter(|(one, _)| one == version).map(|(_, found)| *found).next())
            });
            Some((names.collect(), versions.collect()))
        })
        .collect();
    for (one, kept) in lacking.iter_mut().zip(kept) {
        let Some((names, versions)) = kept else { continue };
        keep(&mut one.lacks.names, &names);
        keep(&mut one.lacks.versions, &versions);
    }
}

fn keep<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().copied().unwrap_or(true));
}

/// Counts which programs have what.
fn count<'a>(
    libraries: &Libraries<'_>,
    mut counts: HashMap<&'a TreePath, Count<'a>>,
) -> Result<HashMap<&'a TreePath, Count<'a>>, Spent> {
    let mut loading = Loading::new(libraries);
    let files = libraries.view.elf_files().iter();
    for (path, _) in files.filter(|(_, elf)| elf.interpreter.is_some() && elf.has_entry && elf.soname.is_none()) {
        let any = |_: &Candidate<'_>| Ok::<(), Infallible>(());
        loading.program(path, any, |file, answers| {
            if let Some(count) = counts.get_mut(file) {
                count.programs += 1;
                for (name, answer) in answers {
                    if let Answer::Loaded(library) = answer {
                        count.add(name, library);
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::libraries::tests::{elf, root_of};
    use super::*;
    use crate::rootfs::View;
    use crate::rootfs::part::tests::path;
    use dlstore_formats::elf::SearchTag;
    use dlstore_model::arch::Arch;
    use dlstore_model::config::{Config, LIBRARY_PATH};

    /// A line `PATH [run=LIST] [rpath=LIST] [so=NAME] [gives=VERSION] [asks=NAME:VERSION] NAME...` of a root: what is in `bin`
    /// is a program of glibc, what is in `mbin` one of musl.
    fn file(line: &str) -> (TreePath, Elf) {
        let (at, words) = line.split_once(' ').unwrap_or((line, ""));
        let mut made = elf(0, Vec::new());
        for word in words.split_whitespace() {
            let list = |text: &str| text.split(':').map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>();
            match word.split_once('=') {
                Some(("run", text)) => made.search = list(text),
                Some(("rpath", text)) => (made.search, made.search_by) = (list(text), SearchTag::RPath),
                Some(("so", text)) => made.soname = Some(text.as_bytes().to_vec()),
                Some(("gives", text)) => made.defines = list(text),
                Some(("asks", text)) => made.requires = vec![(list(text)[0].clone(), list(text)[1..].to_vec())],
                _ => made.needed.push(word.as_bytes().to_vec()),
            }
        }
        let loader = match at.split('/').next() {
            Some("bin") => Some(b"/lib64/ld-linux-x86-64.so.2".to_vec()),
            Some("mbin") => Some(b"/lib/ld-musl-x86_64.so.1".to_vec()),
            _ => None,
        };
        made.has_entry = loader.is_some();
        made.interpreter = loader;
        (path(at), made)
    }

    /// Gives what is lacking in a root, `FILE NAME` each.
    #[track_caller]
    fn lacking(lines: &[&str], config: &Config) -> Vec<String> {
        let mut files: Vec<(TreePath, Elf)> = lines.iter().map(|line| file(line)).collect();
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        let rootfs = root_of(files);
        let view = View::new(&rootfs);
        let libraries = Libraries::new(Arch::Amd64, &view, config).unwrap();
        let lacks = |(path, elf): (&&TreePath, &&Elf)| libraries.lacks(path, elf).unwrap();
        let all = view.elf_files().iter();
        let mut lacking: Vec<_> = all.map(|(path, elf)| Lacking { path, elf, lacks: lacks((path, elf)) }).collect();
        settle(&libraries, &mut lacking);
        let shown = |path: &TreePath, name: &[u8]| format!("{} {}", path, String::from_utf8_lossy(name));
        let of_one = |one: Lacking<'_>| {
            let Lacks { names, versions, .. } = one.lacks;
            names
                .into_iter()
                .chain(versions.into_iter().map(|(_, version)| version))
                .map(|name| shown(one.path, &name))
                .collect::<Vec<_>>()
        };
        lacking.into_iter().flat_map(of_one).collect()
    }

    #[track_caller]
    fn judge(lines: &[&str], expected: &[&str]) {
        assert_eq!(lacking(lines, &Config::default()), expected, "{lines:?}");
    }

    const LIBRARIES: [&str; 2] = ["opt/lib/a.so b.so", "opt/lib/b.so"];

    #[track_caller]
    fn with_libraries(lines: &[&str], expected: &[&str]) {
        judge(&[lines, &LIBRARIES].concat(), expected);
    }

    #[test]
    fn an_rpath_is_for_all_that_is_loaded_below_it_and_a_runpath_for_musl_only() {
        let missing = ["/opt/lib/a.so b.so"];
        with_libraries(&["bin/x rpath=/opt/lib a.so"], &[]);
        with_libraries(&["bin/x rpath=$ORIGIN/../opt/lib a.so"], &[]);
        with_libraries(&["bin/x run=/opt/lib a.so"], &missing);
        with_libraries(&["mbin/x run=/opt/lib a.so"], &[]);
        with_libraries(&["mbin/x rpath=/opt/lib a.so"], &[]);
        // Through a file that says nothing, and not through one that has a newer run path of its own.
        let chain = |of: &str| {
            let a = format!("opt/lib/a.so {of} b.so");
            lacking(&["bin/x rpath=/opt/lib m.so", "opt/lib/m.so a.so", &a, "opt/lib/b.so"], &Config::default())
        };
        assert_eq!(chain(""), [""; 0]);
        assert_eq!(chain("rpath=/srv"), [""; 0]);
        assert_eq!(chain("run=/srv"), missing);
        // One between has no say, whatever it has itself.
        let between = "opt/lib/m.so run=/opt/lib a.so";
        judge(&["bin/x rpath=/opt/lib m.so", between, LIBRARIES[0], LIBRARIES[1]], &[]);
        judge(&["bin/x run=/opt/lib m.so", between, LIBRARIES[0], LIBRARIES[1]], &missing);
    }

    #[test]
    fn a_library_that_is_loaded_already_is_found_by_its_name() {
        let missing = ["/opt/lib/a.so b.so"];
        with_libraries(&["bin/x run=/opt/lib a.so b.so"], &[]);
        with_libraries(&["mbin/x run=/opt/lib b.so a.so"], &[]);
        with_libraries(&["bin/x run=/opt/lib a.so c.so", "opt/lib/c.so run=/opt/lib b.so"], &missing);
        with_libraries(
            &["bin/x run=/opt/lib c.so a.so", "opt/lib/c.so run=/opt/lib", "opt/lib/d.so b.so"],
            &[missing[0], "/opt/lib/d.so b.so"],
        );
        // By what it calls itself, which musl does not look at.
        let named = ["opt/lib/a.so z.so", "opt/lib/b.so so=z.so"];
        judge(&["bin/x run=/opt/lib b.so a.so", named[0], named[1]], &[]);
        judge(&["mbin/x run=/opt/lib b.so a.so", named[0], named[1]], &["/opt/lib/a.so z.so"]);
        // By its path, too.
        judge(&["bin/x /opt/lib/b.so /opt/lib/a.so", named[0], named[1]], &[]);
    }

    #[test]
    fn every_program_that_loads_a_file_has_to_have_what_it_lacks() {
        let missing = ["/opt/lib/a.so b.so"];
        with_libraries(&[], &missing);
        with_libraries(&["bin/x rpath=/opt/lib a.so", "bin/y run=/opt/lib b.so"], &[]);
        with_libraries(&["bin/x rpath=/opt/lib a.so", "bin/y run=/opt/lib a.so"], &missing);
        with_libraries(&["bin/x rpath=/opt/lib a.so", "mbin/y run=/opt/lib a.so"], &[]);
        // What has a name of its own is a library, though it could be run.
        with_libraries(&["bin/x rpath=/opt/lib a.so", "bin/y.so so=y.so run=/opt/lib a.so"], &[]);
        let gone = ["/bin/x gone.so", "/opt/lib/a.so gone.so"];
        judge(&["bin/x rpath=/opt/lib a.so gone.so", "opt/lib/a.so gone.so"], &gone);
    }

    #[test]
    fn the_versions_are_those_of_the_library_that_was_loaded() {
        let old = "usr/lib/b.so gives=V1";
        let a = "opt/lib/a.so asks=b.so:V2 b.so";
        let new = "opt/lib/b.so gives=V1:V2";
        judge(&["bin/x rpath=/opt/lib a.so", a, new, old], &[]);
        judge(&["bin/x run=/opt/lib b.so a.so", a, new, old], &[]);
        judge(&["bin/x run=/opt/lib a.so", a, new, old], &["/opt/lib/a.so V2"]);
    }

    #[test]
    fn directories_of_the_environment_are_searched_for_every_file() {
        let judge = |program: &str, path: &str, expected: &[&str]| {
            let env = [(LIBRARY_PATH.to_owned(), path.to_owned())].into();
            let config = Config { env, workdir: Some("/opt".into()), ..Config::default() };
            let loader =
                if program.starts_with('m') { "lib/ld-musl-x86_64.so.1" } else { "lib64/ld-linux-x86-64.so.2" };
            let lines = [program, "opt/lib/a.so b.so", "opt/b.so", loader];
            assert_eq!(lacking(&lines, &config), expected, "{program} {path}");
        };
        let both = ["/bin/x a.so", "/opt/lib/a.so b.so"];
        let of_musl = ["/mbin/x a.so", "/opt/lib/a.so b.so"];
        judge("bin/x a.so", "", &both);
        judge("bin/x a.so", "/opt/lib:/opt", &[]);
        judge("bin/x a.so", "/opt/lib;/opt/", &[]);
        judge("bin/x a.so", "/opt/lib:", &[]);
        judge("bin/x a.so", ":lib", &[]);
        judge("bin/x a.so", "/srv:./lib//:../opt", &[]);
        judge("bin/x a.so", "/opt/lib", &both[1..]);
        judge("bin/x a.so", "$ORIGIN/../opt:${ORIGIN}/../opt/lib", &[]);
        judge("mbin/x a.so", "/opt/lib:/opt", &[]);
        judge("mbin/x a.so", "/opt/lib\n/opt", &[]);
        judge("mbin/x a.so", "/opt/lib;/opt", &of_musl);
        judge("mbin/x a.so", "/opt/lib:", &of_musl[1..]);
        judge("mbin/x a.so", "$ORIGIN/../opt:$ORIGIN/../opt/lib", &of_musl);
    }

    #[test]
    fn programs_without_number_that_load_libraries_without_number_are_given_up_on_in_time() {
        let names = (0..4000).map(|at| format!("lib{at}.so")).collect::<Vec<_>>().join(" ");
        let path = (0..20).map(|at| format!("/opt/{at}")).collect::<Vec<_>>().join(":");
        let mut lines: Vec<String> = (0..200).map(|at| format!("bin/{at:04} rpath={path} a0.so")).collect();
        // Each of the chain has a run path of its own, and asks for thousands.
        lines.extend((0..50).map(|at| format!("opt/0/a{at}.so rpath={path} a{}.so {names}", at + 1)));
        let begun = Instant::now();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let lines = [&["bin/x rpath=/opt/lib a.so"][..], &LIBRARIES, &lines].concat();
        let lacking = lacking(&lines, &Config::default());
        assert!(lacking.len() > 4000 * 50);
        assert!(lacking.contains(&"/opt/lib/a.so b.so".to_owned()), "it stays as it was");
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
