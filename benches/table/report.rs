//! Markdown: the machine, the floors, and the table, as it stands in `docs/performance.md`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::goals::{Goal, Row};
use crate::rounds::Times;
use crate::work::Bytes;

/// Names of floors, as they begin.
const FLOORS: [&str; 8] = ["T0", "V", "X ", "H", "F ", "C", "M", "G"];
/// The lines between which the table stands in the page.
const START: &str = "<!-- table:start -->";
const END: &str = "<!-- table:end -->";

/// Says what it was measured on.
pub(crate) fn machine(directory: &Path, rounds: usize) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let system = rustix::system::uname();
    let model = model.map_or_else(|| system.machine().to_string_lossy().into_owned(), |pair| pair.1.trim().to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{model}, {cores} cores, Linux {}, {}; dlstore {}, medians of {rounds} rounds.",
        system.release().to_string_lossy(),
        file_system(directory).unwrap_or_else(|| "an unknown file system".to_owned()),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Gives the type of the file system of a directory: that of the longest mount point above it.
fn file_system(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 2 && directory.starts_with(fields[1]));
    above.max_by_key(|fields| fields[1].len()).map(|fields| fields[2].to_owned())
}

/// Writes the floors as a table.
pub(crate) fn floors(times: &Times) -> String {
    let is_floor = |name: &str| {
        FLOORS.iter().any(|floor| name == floor.trim_end() || name.starts_with(&format!("{} ", floor.trim_end())))
    };
    let rows = times
        .iter()
        .filter(|(name, _)| is_floor(name))
        .map(|(name, seconds)| format!("| {name} | {} |", milliseconds(*seconds)));
    let lines: Vec<String> =
        ["| floor | measured |".to_owned(), "|---|---|".to_owned()].into_iter().chain(rows).collect();
    lines.join("\n")
}

/// Writes the rows and the floors.
pub(crate) fn table(rows: &[Row], times: &Times, peaks: &Bytes, sizes: &Bytes) -> String {
    let mut lines = vec!["| work | measured | ratio | goal | met |".to_owned(), "|---|---|---|---|---|".to_owned()];
    for row in rows {
        let cells = cells(row, times, peaks, sizes).unwrap_or_else(|| ["not measured", "", "", ""].map(str::to_owned));
        lines.push(format!("| {} | {} |", row.title, cells.join(" | ")));
    }
    format!("{}\n\n{}", lines.join("\n"), floors(times))
}

fn cells(row: &Row, times: &Times, peaks: &Bytes, sizes: &Bytes) -> Option<[String; 4]> {
    let of = |bytes: &Bytes| bytes.iter().find(|(name, _)| *name == row.measured).map(|(_, bytes)| whole(*bytes));
    let time = || times.get(&row.measured).copied();
    Some(match &row.goal {
        Goal::Time { at_most, unit, rest } => {
            let (measured, one) = (time()?, *times.get(unit)?);
            let mut others = 0.0;
            let mut words = String::new();
            for (number, name) in rest {
                others += number * times.get(name)?;
                let number = if (number - 1.0).abs() > f64::EPSILON { format!("{number} ") } else { String::new() };
                words.extend([" + ", &number, short(name)]);
            }
            let most = at_most * one + others;
            let sum = |number: String| format!("{number} {}{words}", short(unit));
            [
                milliseconds(measured),
                sum(format!("{:.2}", (measured - others) / one)),
                format!("<= {} = {}", sum(at_most.to_string()), milliseconds(most)),
                met(measured, most),
            ]
        }
        Goal::Faster(other) => {
            let (measured, other) = (time()?, *times.get(other)?);
            let ratio = format!("{:.2}", measured / other);
            [milliseconds(measured), ratio, format!("< 1 ({})", milliseconds(other)), met(measured, other)]
        }
        Goal::Seconds(most) => {
            let measured = time()?;
            [milliseconds(measured), String::new(), format!("<= {most} s"), met(measured, *most)]
        }
        Goal::Open(unit) => {
            let measured = time()?;
            let ratio = format!("{:.2} {}", measured / times.get(unit)?, short(unit));
            [milliseconds(measured), ratio, String::new(), String::new()]
        }
        Goal::Peak(most) => {
            let (peak, most) = (of(peaks)?, whole(*most));
            let mebibytes = |bytes: f64| format!("{:.1} MiB", bytes / f64::from(1 << 20));
            [mebibytes(peak), format!("{:.2}", peak / most), format!("< {}", mebibytes(most)), met(peak, most)]
        }
        Goal::Size(most) => {
            let (size, most) = (of(sizes)?, whole(*most));
            let megabytes = |bytes: f64| format!("{:.3} MB", bytes / 1e6);
            [megabytes(size), format!("{:.2}", size / most), format!("<= {}", megabytes(most)), met(size, most)]
        }
    })
}

/// The letter of a floor, without the name of its set: the row says that.
fn short(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

fn met(measured: f64, most: f64) -> String {
    if measured <= most { "yes".to_owned() } else { format!("no, by {:.0} %", (measured / most - 1.0) * 100.0) }
}

fn milliseconds(seconds: f64) -> String {
    let value = seconds * 1e3;
    if value < 10.0 { format!("{value:.2} ms") } else { format!("{value:.0} ms") }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
const fn whole(bytes: u64) -> f64 {
    bytes as f64
}

/// Puts the text into the page, between its two lines.
pub(crate) fn write(text: &str) -> anyhow::Result<()> {
    let path = dlstore_kit::workspace::own("docs/performance.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (before, rest) = page.split_once(START).with_context(|| format!("no {START} in the page"))?;
    let (_, behind) = rest.split_once(END).with_context(|| format!("no {END} in the page"))?;
    fs::write(&path, format!("{before}{START}\n{text}\n{END}{behind}"))?;
    eprintln!("written to {}", path.display());
    Ok(())
}
