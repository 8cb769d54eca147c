//! The table of scale: the same work on a small store and on a large one, and how much longer it takes there.
//!
//! ```sh
//! cargo bench --bench scale -- --small 1000 --large 100000       # the table of docs/performance.md
//! cargo bench --bench scale -- --small 100 --large 1000          # as CI runs it: does all of it work?
//! ```
//!
//! A store of N packages is filled by the program (`dlstore add` of N generated packages) and gets 10 N more
//! packs by the store's own interface. Each row is measured in turns, small, large, small, large, and shown as
//! medians with their ratio: that does not depend on the machine, or hardly. Rows that take something away come
//! last. Nothing here fails because something was slow; a command that does not do its work fails it.
//!
//! ```text
//! arguments    what was asked for
//! fill         stores with as many packages and packs as asked for
//! command      running the program, its time, its peak of memory, its calls of fsync
//! work         the rows
//! report       Markdown
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table, and how far it is")]

mod arguments;
mod command;
mod fill;
mod report;
mod work;

use anyhow::Context as _;
use arguments::Arguments;
use fill::Filled;

fn main() -> anyhow::Result<()> {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1))? else {
        eprintln!("nothing is measured but by `cargo bench --bench scale`");
        return Ok(());
    };
    let directory = tempfile::Builder::new()
        .prefix("scale-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .context("cannot make a directory to work in")?;
    let (small, small_filling) = Filled::new(directory.path(), "small", arguments.small)?;
    let (large, large_filling) = Filled::new(directory.path(), "large", arguments.large)?;
    let mut rows = work::filling(&small_filling, &large_filling);
    rows.extend(work::flat(&small, &large, arguments.rounds)?);
    rows.extend(work::whole(&small, &large, arguments.rounds.min(3))?);
    rows.extend(work::collecting(&small, &large)?);
    rows.extend(work::making(directory.path())?);
    println!("{}", report::table(&arguments, &rows));
    Ok(())
}
