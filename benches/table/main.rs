//! The table of speed and memory: what the program takes, against what the work itself takes.
//!
//! Milliseconds of one machine say nothing about another one, so every time is held against *floors*
//! that are measured in the same run, in turns with it: an empty process (T0), the program's own start
//! (V), decoding the same packages with liblzma (X), SHA-256 of the same bytes (H), writing the same
//! bytes (F), and for packages of Alpine inflating and deflating them (C). Medians of some rounds
//! after one that does not count; the page cache is warm; the disk is synced before each timed step,
//! so that none pays for another's bytes. Nothing here fails because something was slow.
//!
//! ```text
//! arguments    what was asked for
//! inputs       packages on disk, and which of them an image needs
//! program      running the program, its time and its peak of memory
//! floors       what the same work takes in this process
//! rounds       everything in turns, medians
//! work         the commands of the table, each with the state that it needs
//! large        a package of 400 MB
//! many         a thousand images
//! heavy        an image of 570 MB
//! goals        the rows and their goals
//! report       Markdown
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table, and how far it is")]

mod arguments;
mod floors;
mod goals;
mod heavy;
mod inputs;
mod large;
mod many;
mod program;
mod report;
mod rounds;
mod work;

use anyhow::Context as _;
use arguments::{Arguments, Extent};
use inputs::Inputs;
use program::Program;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.extent == Extent::Nothing {
        eprintln!("nothing is measured but by `cargo bench --bench table`");
        return Ok(());
    }
    let directory = tempfile::Builder::new()
        .prefix("table-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .context("cannot make a directory to work in")?;
    let program = Program::new(directory.path())?;
    let inputs = Inputs::find(directory.path())?;
    let text = if arguments.extent == Extent::Floors {
        let mut works = work::starts(&program);
        works.extend(work::decoding(&inputs)?);
        report::floors(&rounds::interleave(works, arguments.rounds, directory.path())?)
    } else {
        let state = work::State::prepare(&program, &inputs)?;
        let mut times = rounds::interleave(state.works()?, arguments.rounds, directory.path())?;
        let of_debian = inputs.debian.first().context("there are three sets")?;
        let many = many::Many::prepare(directory.path(), of_debian)?;
        times.extend(rounds::interleave(many.works(), arguments.rounds.min(3), directory.path())?);
        let of_glibc = inputs.debian.last().context("there are three sets")?;
        let heavy = heavy::Heavy::prepare(directory.path(), of_glibc)?;
        times.extend(rounds::interleave(heavy.works(), arguments.rounds.min(3), directory.path())?);
        let peaks = state.peaks(arguments.rounds.min(5))?;
        let sizes = state.layer_sizes()?;
        let rows = goals::rows(&inputs);
        report::table(&rows, &times, &peaks, &sizes)
    };
    let text = format!("{}\n\n{text}", report::machine(directory.path(), arguments.rounds));
    println!("{text}");
    if arguments.writes {
        report::write(&text)?;
    }
    Ok(())
}
