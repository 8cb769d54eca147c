//! Everything in turns, and medians.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context as _;

/// A step of a round.
type Step<'a> = Box<dyn FnMut() -> anyhow::Result<()> + 'a>;

/// Something to measure.
pub(crate) struct Work<'a> {
    name: String,
    /// How often in each round: starts of processes are short and vary much.
    times: usize,
    /// Whether the processor time of this process and its children counts too.
    has_cpu: bool,
    prepare: Step<'a>,
    run: Step<'a>,
}

impl<'a> Work<'a> {
    /// Measures `run`.
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut() -> anyhow::Result<()> + 'a) -> Self {
        Self { name: name.into(), times: 1, has_cpu: false, prepare: Box::new(|| Ok(())), run: Box::new(run) }
    }

    /// Measures `run` in a directory of its own each time. `make` makes it before the clock starts, and is given the one of
    /// the time before.
    pub(crate) fn in_fresh(
        name: impl Into<String>,
        mut make: impl FnMut(&Path) -> anyhow::Result<PathBuf> + 'a,
        mut run: impl FnMut(&Path) -> anyhow::Result<()> + 'a,
    ) -> Self {
        let directory = Rc::new(RefCell::new(PathBuf::new()));
        let next = Rc::clone(&directory);
        Self::new(name, move || run(&directory.borrow())).after(move || {
            let made = make(&next.borrow())?;
            next.replace(made);
            Ok(())
        })
    }

    /// Sets what is done before each timing, out of its time.
    pub(crate) fn after(mut self, prepare: impl FnMut() -> anyhow::Result<()> + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// Has the processor time taken too, under the name with `cpu` behind it.
    pub(crate) const fn with_cpu(mut self) -> Self {
        self.has_cpu = true;
        self
    }

    /// Sets how often it runs in each round.
    pub(crate) const fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }
}

/// Medians in seconds by name.
pub(crate) type Times = BTreeMap<String, f64>;

/// Runs all works in turns, one round more than is counted; `directory` lies on the disk to sync.
pub(crate) fn interleave(mut works: Vec<Work<'_>>, rounds: usize, directory: &Path) -> anyhow::Result<Times> {
    let disk = File::open(directory)?;
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..=rounds {
        eprintln!("{}", if round == 0 { "warming up".to_owned() } else { format!("round {round} of {rounds}") });
        for work in &mut works {
            for _ in 0..work.times {
                (work.prepare)().with_context(|| format!("before {}", work.name))?;
                rustix::fs::syncfs(&disk)?;
                let (begun, cpu) = (Instant::now(), processor_seconds()?);
                (work.run)().with_context(|| work.name.clone())?;
                let (seconds, cpu) = (begun.elapsed().as_secs_f64(), processor_seconds()? - cpu);
                if round > 0 {
                    found.entry(work.name.clone()).or_default().push(seconds);
                }
                if round > 0 && work.has_cpu {
                    found.entry(format!("{} cpu", work.name)).or_default().push(cpu);
                }
            }
        }
    }
    Ok(found.into_iter().map(|(name, times)| (name, median(times))).collect())
}

/// Clock ticks in a second as Linux tells them, whatever it counts itself.
const TICKS: f64 = 100.0;

/// Gives the processor time that this process and its children took until now, in seconds (`proc(5)`, `stat`).
fn processor_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The program's name may hold blanks; what is behind it are numbers, and four of them these times.
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat has another form")?;
    let ticks = fields.split_whitespace().skip(11).take(4).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
