//! A thousand images, each with a file of its own: what composing takes for each of many.
//!
//! They extend `static:embedded`, or a base with packages of Debian of which one changes before each run, and go into one
//! layout. A hundred of them tell whether a thousand cost ten times as much; the files of the layout alone tell what the
//! disk takes of it.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use dlstore_formats::package::fixture::DebBuilder;

use crate::floors::Output;
use crate::inputs::Set;
use crate::program::{Call, Program};
use crate::rounds::Work;

/// How many images there are, and in the smaller project.
const MANY: usize = 1000;
const FEW: usize = 100;

/// The projects, and what was made of them before the first round.
pub(crate) struct Many<'s> {
    thousand: Program,
    hundred: Program,
    on_debian: Program,
    set: &'s Set,
    output: Output,
    counter: Cell<u32>,
}

impl<'s> Many<'s> {
    /// Makes the projects, and composes each once. `set` is that of `static:debian`.
    pub(crate) fn prepare(directory: &Path, set: &'s Set) -> anyhow::Result<Self> {
        let project = |name: &str, count: usize, base: &str| -> anyhow::Result<Program> {
            let program = Program::new(&directory.join(name))?;
            for number in 0..count {
                let text = format!("files.\"/app/word\" = {{ content = \"{number}\" }}\n");
                define(
                    &program,
                    &format!("service-{number:04}"),
                    &format!("schema = 1\nextends = \"{base}\"\n{text}"),
                )?;
            }
            Ok(program)
        };
        let many = project("many", MANY, "static:embedded")?;
        let few = project("few", FEW, "static:embedded")?;
        let on_debian = project("on-debian", MANY, "base")?;
        define(&on_debian, "base", "schema = 1\nextends = \"static:debian\"\npackages = [\"extra\"]\n")?;
        let place = many.directory().join("prepared");
        all(&many, &many.directory().join("warm"), &place, &[]).run_once()?;
        let output = Output::of(&place)?;
        let found = Self { thousand: many, hundred: few, on_debian, set, output, counter: Cell::new(0) };
        found.change()?;
        found.of_debian(&found.on_debian.directory().join("prepared")).run_once()?;
        Ok(found)
    }

    /// Gives everything that takes part in a round.
    pub(crate) fn works(&self) -> Vec<Work<'_>> {
        let cold = |name: &str, program| {
            self.fresh(name, |_| Ok(()), move |at| all(program, &at.join("store"), &at.join("output"), &[]).run())
        };
        let warm = all(
            &self.thousand,
            &self.thousand.directory().join("warm"),
            &self.thousand.directory().join("prepared"),
            &[],
        );
        vec![
            self.fresh("F many", |_| Ok(()), |at| self.output.write(&at.join("copy"))),
            cold("M", &self.hundred),
            cold("many cold", &self.thousand),
            Work::new("many warm", move || warm.run()),
            self.fresh("many changed", |_| self.change(), |at| self.of_debian(&at.join("output")).run()),
        ]
    }

    /// Gives a work that gets a directory of its own each time; `prepare` is not timed. Nothing is removed: a file system
    /// may be slow for a while after many files were.
    fn fresh<'w>(
        &'w self,
        name: &str,
        prepare: impl Fn(&Path) -> anyhow::Result<()> + 'w,
        run: impl Fn(&Path) -> anyhow::Result<()> + 'w,
    ) -> Work<'w> {
        let make = move |_: &Path| {
            let made = self.thousand.directory().join(format!("run-{}", self.next()));
            fs::create_dir(&made)?;
            prepare(&made)?;
            Ok(made)
        };
        Work::in_fresh(name, make, run)
    }

    /// Writes the package that the images on Debian have in common anew, with a higher version.
    fn change(&self) -> anyhow::Result<()> {
        let version = self.next().to_string();
        let deb = DebBuilder::new("extra", &version, "all").file("usr/share/extra/version", version.as_bytes(), 0o644);
        fs::create_dir_all(self.changing())?;
        Ok(fs::write(self.changing().join("extra.deb"), deb.build())?)
    }

    fn changing(&self) -> PathBuf {
        self.on_debian.directory().join("changing")
    }

    fn of_debian(&self, place: &Path) -> Call {
        let from = [self.set.directory.as_path(), &self.changing()];
        all(&self.on_debian, &self.on_debian.directory().join("warm"), place, &from)
    }

    fn next(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }
}

fn define(program: &Program, name: &str, text: &str) -> anyhow::Result<()> {
    let directory = program.project().join("images").join(name);
    fs::create_dir_all(&directory)?;
    Ok(fs::write(directory.join("image.toml"), text)?)
}

/// Composes all images of a project for all architectures into one layout.
fn all(program: &Program, store: &Path, place: &Path, from: &[&Path]) -> Call {
    let mut output = OsString::from("oci:");
    output.push(place);
    let mut arguments: Vec<OsString> = ["compose", "--all", "--arch", "all", "-o"].map(Into::into).into();
    arguments.push(output);
    if !from.is_empty() {
        arguments.push("--from".into());
        arguments.extend(from.iter().map(Into::into));
    }
    program.on(store, arguments)
}
