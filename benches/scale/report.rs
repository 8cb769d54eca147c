//! Markdown, as it stands in `docs/performance.md`.

use crate::arguments::Arguments;
use crate::work::{Goal, Row, Unit};

/// Writes the table.
pub(crate) fn table(arguments: &Arguments, rows: &[Row]) -> String {
    let (small, large) = (arguments.small, arguments.large);
    let mut lines = vec![
        format!("dlstore {}, medians of {} rounds.\n", env!("CARGO_PKG_VERSION"), arguments.rounds),
        format!(
            "| work | {small} packages + {} packs | {large} packages + {} packs | ratio | goal | met |",
            small * 10,
            large * 10
        ),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(rows.iter().map(line));
    lines.join("\n")
}

fn line(row: &Row) -> String {
    let Some([small, large]) = row.measured else {
        return format!("| {} | not measured (strace is not installed) | | | {} | |", row.title, goal(row));
    };
    let ratio = large / small;
    let shown = if matches!(row.unit, Unit::Calls) { String::new() } else { format!("{ratio:.2}") };
    let is_met = match row.goal {
        Goal::Ratio(at_most) => ratio <= at_most,
        Goal::AtMost(most) => large <= most,
        Goal::Open => {
            return format!("| {} | {} | {} | {ratio:.2} | | |", row.title, show(row, small), show(row, large));
        }
    };
    let (small, large) = (show(row, small), show(row, large));
    let met = if is_met { "yes" } else { "**no**" };
    format!("| {} | {small} | {large} | {shown} | {} | {met} |", row.title, goal(row))
}

fn goal(row: &Row) -> String {
    match row.goal {
        Goal::Ratio(at_most) => format!("<= {at_most} x"),
        Goal::AtMost(most) => format!("<= {}", show(row, most)),
        Goal::Open => String::new(),
    }
}

fn show(row: &Row, number: f64) -> String {
    match row.unit {
        Unit::Seconds if number >= 1.0 => format!("{number:.2} s"),
        Unit::Seconds if number >= 0.1 => format!("{:.0} ms", number * 1e3),
        Unit::Seconds => format!("{:.2} ms", number * 1e3),
        Unit::Bytes => format!("{:.1} MiB", number / f64::from(1 << 20)),
        Unit::Calls => format!("{number:.0}"),
    }
}
