//! The rows of the table and what each is to reach.
//!
//! A goal of time is a sum of floors, `1.6 X + F`: one unit whose number is the goal, and the rest.
//! What is shown as the ratio is the measured number of that unit beside the same rest.

use crate::inputs::Inputs;

/// One row.
pub(crate) struct Row {
    /// The work, for people.
    pub(crate) title: String,
    /// What was measured: the name of a time, of a peak or of a size.
    pub(crate) measured: String,
    /// What is to be reached.
    pub(crate) goal: Goal,
}

/// What is to be reached.
pub(crate) enum Goal {
    /// At most `at_most` times the time `unit` and the other times, with their numbers.
    Time {
        /// The number that counts.
        at_most: f64,
        /// The floor that it multiplies.
        unit: String,
        /// Floors that are added.
        rest: Vec<(f64, String)>,
    },
    /// At most so many seconds.
    Seconds(f64),
    /// Less time than another command.
    Faster(String),
    /// At most so many bytes of memory.
    Peak(u64),
    /// At most so many bytes in layers.
    Size(u64),
    /// None: shown for what it tells, in this unit.
    Open(String),
}

/// Gives all rows in the order of the table.
pub(crate) fn rows(inputs: &Inputs) -> Vec<Row> {
    let mut rows = vec![
        time("V: `dlstore --version`", "V", 2.0, "T0", &[]),
        time("warm `compose static --arch all`", "warm", 1.0, "T0", &[(1.0, "V")]),
        time("`add` of a known package (libc6)", "re-add", 0.05, "X libc6", &[(1.0, "V"), (1.0, "T0")]),
        time("glibc-dynamic x 8, layers known, one label changed", "label", 6.0, "T0", &[(1.0, "V")]),
        time("glibc-dynamic x 8, packs known, one own file new", "plan", 20.0, "T0", &[(1.0, "V")]),
        time("glibc-dynamic x 8, `--from` its unchanged .debs, warm", "warm from", 6.0, "T0", &[(1.0, "V")]),
        time("flat layer, glibc-dynamic x 8, packs known", "flat", 2.2, "H", &[(1.0, "F flat")]),
        time("`add` of libc6", "add libc6", 1.4, "X libc6", &[(1.0, "F libc6")]),
    ];
    for (set, at_most) in inputs.debian.iter().zip([1.8, 1.2, 1.25]) {
        let (name, count) = (set.name, set.files.len());
        let title = format!(".debs to layout, {} x 8 ({count} packages)", set.image);
        let (unit, written) = (format!("X {name}"), format!("F {name}"));
        rows.push(time(&title, &format!("compose {name}"), at_most, &unit, &[(1.0, &written)]));
        rows.push(Row {
            title: format!("the same with all the .debs of the directory in sight, {}", set.image),
            measured: format!("compose {name} from all"),
            goal: Goal::Open(unit),
        });
    }
    let apks = format!(".apks to layout, {} x 8 ({} packages)", inputs.alpine.image, inputs.alpine.files.len());
    rows.push(time(&apks, "compose apk", 1.8, "C", &[(1.0, "F apk")]));
    let seconds = |title: &str, measured: &str, most| Row {
        title: title.to_owned(),
        measured: measured.to_owned(),
        goal: Goal::Seconds(most),
    };
    rows.push(seconds("1,000 images x 8, one own file each on static, cold, one layout", "many cold", 5.0));
    rows.push(time("the same, against 100 of them", "many cold", 11.0, "M", &[]));
    rows.push(seconds("the same, warm", "many warm", 0.5));
    rows.push(seconds("1,000 images x 8 on static:debian, one .deb of the base changed", "many changed", 5.0));
    rows.push(seconds("60 packages, 570 MB of files, cold", "heavy cold", 4.7));
    rows.push(time("the same, CPU", "heavy cold cpu", 1.25, "G cpu", &[]));
    rows.push(seconds("60 packages, 570 MB of files, one small package changed", "heavy changed", 0.25));
    for set in &inputs.debian {
        rows.push(Row {
            title: format!("`add` of the .debs of {}, against `dpkg-deb --fsys-tarfile` of each", set.image),
            measured: format!("add {}", set.name),
            goal: Goal::Faster(format!("dpkg-deb {}", set.name)),
        });
    }
    for (name, most) in [
        ("compose, .debs to layout", 64),
        ("compose, packs known, flat", 64),
        ("compose, packages known, as zstd", 64),
        ("add, the .debs of glibc-dynamic", 200),
        ("add, two packages of 400 MB at once", 200),
    ] {
        let measured = name.to_owned();
        rows.push(Row { title: format!("peak memory: {name}"), measured, goal: Goal::Peak(most << 20) });
    }
    for (set, most) in inputs.debian.iter().zip([480_000, 720_000, 4_200_000]) {
        let title = format!("layers for amd64, {}", set.image);
        rows.push(Row { title, measured: set.name.to_owned(), goal: Goal::Size(most) });
    }
    rows
}

fn time(title: &str, measured: &str, at_most: f64, unit: &str, rest: &[(f64, &str)]) -> Row {
    let rest = rest.iter().map(|(number, name)| (*number, (*name).to_owned())).collect();
    Row { title: title.into(), measured: measured.into(), goal: Goal::Time { at_most, unit: unit.into(), rest } }
}
