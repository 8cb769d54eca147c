//! Every table's rows: deleted, each column changed, two rows of a table under each other's keys.
//!
//! All rows of the small tables, and of the large ones the first of each kind: `DLSTORE_MATRIX=all` takes every row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::types::Value;

use crate::files::ORDERS;
use crate::template::{Claim, Template, all, cell, index, is_whole};

/// A table as its schema says.
struct Table {
    name: String,
    columns: Vec<String>,
    /// The columns that tell its rows apart.
    key: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// What is done to a row; rows are told by what they hold.
#[derive(Debug, Clone)]
enum Damage {
    Delete {
        row: Vec<Value>,
    },
    Change {
        row: Vec<Value>,
        column: usize,
    },
    /// Two rows exchange what stands in some columns.
    Swap {
        rows: [Vec<Value>; 2],
        columns: Vec<usize>,
    },
}

fn tables(store: &Path) -> Vec<Table> {
    let index = index(store);
    let list = |sql: &str| -> Vec<String> {
        let mut query = index.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let names = list("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
    let table = |name: String| {
        let columns = list(&format!("SELECT name FROM pragma_table_info('{name}') ORDER BY cid"));
        let mut key = list(&format!("SELECT name FROM pragma_table_info('{name}') WHERE pk > 0 ORDER BY pk"));
        if key.is_empty() {
            key.clone_from(&columns);
        }
        let mut query = index.prepare(&format!("SELECT * FROM \"{name}\" ORDER BY {}", key.join(", "))).unwrap();
        let read = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|at| row.get(at)).collect();
        let rows = query.query_map([], read).unwrap().map(Result::unwrap).collect();
        Table { name, columns: columns.clone(), key, rows }
    };
    names.into_iter().map(table).collect()
}

impl Table {
    fn at(&self, column: &str) -> usize {
        self.columns.iter().position(|known| known == column).unwrap()
    }

    /// What makes a row one of its kind: two or three of each kind are looked at.
    fn kind(&self, row: &[Value]) -> String {
        match self.name.as_str() {
            "object" | "action" => format!("{:?}", row[self.at("kind")]),
            "file" => format!("{:?}", row[self.at("directory")]),
            _ => String::new(),
        }
    }

    fn sample(&self) -> Vec<&Vec<Value>> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let wanted = match self.name.as_str() {
            "object" | "file" | "action" => 1,
            "edge" | "root_target" | "counter" | "sqlite_sequence" | "origin" | "soname" => 2,
            // Lists, packages, trees, facts, packs, blobs: what images are made from.
            _ => 3,
        };
        let keeps = |row: &&Vec<Value>| {
            let count = seen.entry(self.kind(row)).or_default();
            *count += 1;
            is_whole() || *count <= wanted
        };
        self.rows.iter().filter(keeps).collect()
    }

    fn damages(&self) -> Vec<Damage> {
        let mut found = Vec::new();
        let sample = self.sample();
        for row in &sample {
            found.push(Damage::Delete { row: (*row).clone() });
            found.extend((0..row.len()).map(|column| Damage::Change { row: (*row).clone(), column }));
        }
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let named = |names: &[&str]| -> Vec<usize> { names.iter().map(|name| self.at(name)).collect() };
        let keys = match self.name.as_str() {
            // The keys of two objects exchanged, and their numbers.
            "object" => vec![named(&["key"]), named(&["id"])],
            "file" => vec![named(&["sha256"]), named(&["id"])],
            "name" | "root" => vec![named(&["name"])],
            "edge" => vec![named(&["src"])],
            "root_target" => vec![named(&["root"])],
            "soname" => vec![named(&["package"])],
            "tree" | "fact" | "package" | "pack" | "action" | "blob" => vec![named(&["object"])],
            _ => Vec::new(),
        };
        let mut by_kind: BTreeMap<String, Vec<&Vec<Value>>> = BTreeMap::new();
        let rows: Vec<&Vec<Value>> = if is_whole() { self.rows.iter().collect() } else { self.neighbours(&sample) };
        for row in rows {
            by_kind.entry(self.kind(row)).or_default().push(row);
        }
        for columns in &keys {
            assert!(columns.iter().all(|column| all.contains(column)));
            for pair in by_kind.values().flat_map(|rows| rows.windows(2)) {
                found.push(Damage::Swap { rows: [pair[0].clone(), pair[1].clone()], columns: columns.clone() });
            }
        }
        found
    }

    /// The first four rows of each kind.
    fn neighbours(&self, sample: &[&Vec<Value>]) -> Vec<&Vec<Value>> {
        let kinds: BTreeSet<String> = sample.iter().map(|row| self.kind(row)).collect();
        let of = |kind: &String| self.rows.iter().filter(|row| self.kind(row) == *kind).take(4).collect::<Vec<_>>();
        kinds.iter().flat_map(of).collect()
    }

    /// Does a damage; `false` when the table cannot hold what came out, or nothing changed.
    fn damage(&self, store: &Path, damage: &Damage) -> bool {
        let index = index(store);
        let clause = self.key.iter().map(|name| format!("{name} IS ?")).collect::<Vec<_>>().join(" AND ");
        let key = |row: &[Value]| -> Vec<Value> { self.key.iter().map(|name| row[self.at(name)].clone()).collect() };
        let set = |row: &[Value], column: usize, value: Value| {
            let sql = format!("UPDATE \"{}\" SET {} = ? WHERE {clause}", self.name, self.columns[column]);
            let values: Vec<Value> = [value].into_iter().chain(key(row)).collect();
            index.execute(&sql, rusqlite::params_from_iter(values))
        };
        match damage {
            Damage::Delete { row } => {
                let sql = format!("DELETE FROM \"{}\" WHERE {clause}", self.name);
                index.execute(&sql, rusqlite::params_from_iter(key(row))) == Ok(1)
            }
            Damage::Change { row, column } => {
                changed(&row[*column]).is_some_and(|value| set(row, *column, value) == Ok(1))
            }
            Damage::Swap { rows: [one, two], columns } => columns.iter().all(|column| {
                let aside = match &one[*column] {
                    Value::Integer(_) => Value::Integer(987_654_321),
                    Value::Text(_) => Value::Text("aside/aside".into()),
                    _ => Value::Blob(vec![0xee; 32]),
                };
                let mut moved = one.clone();
                moved[*column] = aside.clone();
                one[*column] != two[*column]
                    && set(one, *column, aside) == Ok(1)
                    && set(two, *column, one[*column].clone()) == Ok(1)
                    && set(&moved, *column, two[*column].clone()) == Ok(1)
            }),
        }
    }
}

/// One more, or one bit.
fn changed(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => Value::Integer(1),
        Value::Integer(number) => Value::Integer(number + 1),
        Value::Real(_) => return None,
        Value::Text(text) => {
            let mut bytes = text.clone().into_bytes();
            let middle = bytes.len() / 2;
            // Still text: the tables take nothing else.
            *bytes.get_mut(middle)? ^= 1;
            Value::Text(String::from_utf8(bytes).ok()?)
        }
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            let middle = bytes.len() / 2;
            *bytes.get_mut(middle)? ^= 1;
            Value::Blob(bytes)
        }
    })
}

#[test]
fn no_damage_to_a_row_of_the_index_gives_another_image() {
    let template = Template::get();
    let tables = tables(&template.copy().store());
    assert!(tables.iter().any(|table| table.name == "package" && table.rows.len() == 5), "the template's packages");
    let mut cells = Vec::new();
    for table in &tables {
        for (number, damage) in table.damages().into_iter().enumerate() {
            cells.extend(ORDERS.map(|order| (table, number, damage.clone(), order)));
        }
    }
    all(
        &cells,
        |(table, number, damage, order)| format!("{} {number} {}, {order:?}", table.name, table.said(damage)),
        |(table, _, damage, order)| {
            let place = template.copy();
            if !table.damage(&place.store(), damage) {
                return Ok(());
            }
            cell(&place, order, Claim::Strict)
        },
    );
}

impl Table {
    fn said(&self, damage: &Damage) -> String {
        let key = |row: &[Value]| {
            let of = |name: &String| match &row[self.at(name)] {
                Value::Blob(bytes) => dlstore_kit::hex(&bytes[..bytes.len().min(4)]),
                other => format!("{other:?}"),
            };
            format!("{} ({})", self.key.iter().map(of).collect::<Vec<_>>().join(" "), self.kind(row))
        };
        match damage {
            Damage::Delete { row } => format!("row {} deleted", key(row)),
            Damage::Change { row, column } => format!("row {}: {} changed", key(row), self.columns[*column]),
            Damage::Swap { rows: [one, two], columns } => {
                let names: Vec<&str> = columns.iter().map(|column| self.columns[*column].as_str()).collect();
                format!("rows {} and {}: {} exchanged", key(one), key(two), names.join(" "))
            }
        }
    }
}
