//! The rows: each on the small store and on the large one, in turns.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use dlstore_kit::{Place, many, program};

use crate::command::{longest_add, measure, syncs, text, time};
use crate::fill::{Filled, Filling};

/// One row of the table.
pub(crate) struct Row {
    /// The work, for people.
    pub(crate) title: String,
    /// On the small store and on the large one; `None` where it cannot be measured.
    pub(crate) measured: Option<[f64; 2]>,
    /// What the numbers are.
    pub(crate) unit: Unit,
    /// What is to be reached.
    pub(crate) goal: Goal,
}

/// What numbers are.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Time.
    Seconds,
    /// Memory.
    Bytes,
    /// Calls.
    Calls,
}

/// What is to be reached.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// The large one at most so many times the small one.
    Ratio(f64),
    /// At most so much on both.
    AtMost(f64),
    /// Nothing: shown for what it tells.
    Open,
}

impl Row {
    fn new(title: &str, measured: [f64; 2], unit: Unit, goal: Goal) -> Self {
        Self { title: title.to_owned(), measured: Some(measured), unit, goal }
    }
}

/// How filling went.
pub(crate) fn filling(small: &Filling, large: &Filling) -> Vec<Row> {
    let both = [small, large];
    let each = |of: fn(&Filling) -> f64| both.map(|filling| of(filling) / f64::from(filling.packages));
    vec![
        Row::new("a generated package, written", each(|of| of.written), Unit::Seconds, Goal::Open),
        Row::new("`add` of all packages, for each", each(|of| of.added), Unit::Seconds, Goal::Ratio(1.5)),
        Row::new("`add` of all packages, peak", both.map(|of| bytes(of.peak)), Unit::Bytes, Goal::AtMost(mib(200))),
        Row::new("ten packs, published, for each package", each(|of| of.published), Unit::Seconds, Goal::Open),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
const fn bytes(count: u64) -> f64 {
    count as f64
}

const fn mib(count: u64) -> f64 {
    bytes(count << 20)
}

/// Medians of a work on both stores, in turns, after a round that does not count.
fn turns(
    stores: [&Filled; 2],
    rounds: usize,
    work: impl Fn(&Filled) -> anyhow::Result<f64>,
) -> anyhow::Result<[f64; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (store, times) in stores.into_iter().zip(&mut times) {
            let seconds = work(store)?;
            if round > 0 {
                times.push(seconds);
            }
        }
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }))
}

/// What should not depend on what else is in the store.
pub(crate) fn flat(small: &Filled, large: &Filled, rounds: usize) -> anyhow::Result<Vec<Row>> {
    type Work = fn(&Filled) -> anyhow::Result<f64>;
    let works: [(&str, f64, Work); 9] = [
        ("warm `compose static --arch all`", 1.2, |store| {
            time(&store.place, &["compose", "static", "--arch", "all"], 0)
        }),
        ("warm compose of three packages, `--from store`", 1.2, |store| {
            time(&store.place, &["compose", "three", "--arch", "amd64", "--from", "store"], 0)
        }),
        ("`add` of a known package", 1.2, |store| {
            time(&store.place, &["add", text(&store.place.packages().join(many::file(1)))?], 0)
        }),
        ("`add` of one new package", 1.5, |store| time(&store.place, &["add", text(&store.new_package())?], 0)),
        ("`store info`", 2.0, |store| time(&store.place, &["store", "info"], 0)),
        ("`list NAME`", 2.0, |store| time(&store.place, &["list", &many::name(7)], 0)),
        ("`show NAME`", 2.0, |store| time(&store.place, &["show", &many::name(7)], 0)),
        ("`show NAME` of nothing", 2.0, |store| time(&store.place, &["show", "tiny-none"], 2)),
        ("compose that lacks 10 libraries, with hints", 2.0, |store| {
            time(&store.place, &["compose", "lacking", "--arch", "amd64", "--from", "store"], 1)
        }),
    ];
    let mut rows = Vec::new();
    for (title, at_most, work) in works {
        eprintln!("{title}");
        let measured = turns([small, large], rounds, work)?;
        rows.push(Row::new(title, measured, Unit::Seconds, Goal::Ratio(at_most)));
    }
    Ok(rows)
}

/// What looks at everything.
pub(crate) fn whole(small: &Filled, large: &Filled, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let stores = [small, large];
    for store in stores {
        // What composing and adding left behind goes first.
        time(&store.place, &["store", "gc", "--grace", "0"], 0)?;
    }
    let mut rows = Vec::new();
    let verify = |store: &Filled| time(&store.place, &["store", "verify"], 0);
    eprintln!("verify, quick");
    rows.push(Row::new("`store verify`, quick", turns(stores, rounds, verify)?, Unit::Seconds, Goal::AtMost(3.0)));
    let gc: [(&str, &[&str]); 2] = [
        ("`gc` with nothing to do", &["store", "gc", "--grace", "0"]),
        ("`gc --dry-run`", &["store", "gc", "--grace", "0", "--dry-run"]),
    ];
    for (title, arguments) in gc {
        eprintln!("{title}");
        let time = |store: &Filled| time(&store.place, arguments, 0);
        rows.push(Row::new(title, turns(stores, rounds, time)?, Unit::Seconds, Goal::AtMost(3.0)));
        let [_, peak, longest, wait] = beside(stores, arguments)?;
        rows.push(Row::new(&format!("{title}: peak"), peak, Unit::Bytes, Goal::AtMost(mib(64))));
        rows.push(Row::new(&format!("{title}: longest `add` beside it"), longest, Unit::Seconds, Goal::Open));
        rows.push(Row::new(
            &format!("{title}: longest wait of one for the lock"),
            wait,
            Unit::Seconds,
            Goal::AtMost(1.0),
        ));
    }
    Ok(rows)
}

/// A collection that takes half of the packs; those of the large store are 500,000 in the table.
pub(crate) fn collecting(small: &Filled, large: &Filled) -> anyhow::Result<Vec<Row>> {
    eprintln!("gc that takes half of the packs");
    let stores = [small, large];
    for store in stores {
        let half = &store.pack_roots[..store.pack_roots.len().div_ceil(2)];
        let names: Vec<&str> =
            ["store", "roots", "remove"].into_iter().chain(half.iter().map(String::as_str)).collect();
        time(&store.place, &names, 0)?;
    }
    let [time, peak, longest, wait] = beside(stores, &["store", "gc", "--grace", "0"])?;
    let title = "`gc` that takes half of the packs";
    Ok(vec![
        Row::new(&format!("{title}, beside writers"), time, Unit::Seconds, Goal::Open),
        // It keeps a list of what it takes.
        Row::new(&format!("{title}: peak"), peak, Unit::Bytes, Goal::Open),
        Row::new(&format!("{title}: longest `add` beside it"), longest, Unit::Seconds, Goal::Open),
        Row::new(&format!("{title}: longest wait of one for the lock"), wait, Unit::Seconds, Goal::AtMost(1.0)),
    ])
}

/// A command's time and peak of memory, and the longest time and wait of an `add` beside it, on both stores.
fn beside(stores: [&Filled; 2], arguments: &[&str]) -> anyhow::Result<[[f64; 2]; 4]> {
    let mut found = [[0.0; 2]; 4];
    for (at, store) in stores.into_iter().enumerate() {
        let is_over = AtomicBool::new(false);
        let (run, longest) = std::thread::scope(|scope| {
            let place: &Place = &store.place;
            let over = &is_over;
            let command = scope.spawn(move || {
                let run = measure(place, arguments);
                over.store(true, Ordering::Relaxed);
                run
            });
            let longest = longest_add(place, || store.new_package(), || is_over.load(Ordering::Relaxed));
            (command.join(), longest)
        });
        let run = run.map_err(|_| anyhow::anyhow!("the thread of {} panicked", arguments.join(" ")))??;
        found[0][at] = run.seconds;
        found[1][at] = bytes(run.peak);
        let longest = longest?;
        (found[2][at], found[3][at]) = (longest.time, longest.wait);
    }
    Ok(found)
}

/// What it costs to make a store: what the first `add` of all brings to the disk more often than the next.
pub(crate) fn making(directory: &Path) -> anyhow::Result<Vec<Row>> {
    let place = Place::at(program!(), &directory.join("made"));
    many::write(&place.packages(), 0..2)?;
    let paths = [0, 1].map(|number| place.packages().join(many::file(number)));
    let first = syncs(&place, &["add", text(&paths[0])?])?;
    let next = syncs(&place, &["add", text(&paths[1])?])?;
    let title = "making a store: calls of fsync beside those of an `add` (which are shown first)".to_owned();
    let measured = first.zip(next).map(|(first, next)| [bytes(next), bytes(first.saturating_sub(next))]);
    Ok(vec![Row { title, measured, unit: Unit::Calls, goal: Goal::AtMost(4.0) }])
}
