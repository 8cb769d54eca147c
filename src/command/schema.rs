//! The fields of reports, held against the page that documents them.
//!
//! Each report's JSON is a table in `docs/commands.md`: key, shape, and what it is, which is the field's own
//! documentation. A field without a row, a row without a field, another shape or another word fails.

use std::borrow::Cow;
use std::fmt::Write as _;

use dlstore_kit::workspace;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::context::Progress;
use super::value::{Date, Text};
use super::{add, compose, diff, failure, files, list, needs, show, store, tree};

impl<T> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// How a table begins.
const HEAD: &str = "| key | shape | |\n|---|---|---|\n";

/// The table of a report.
fn table<R: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<R>();
    let schema = schema.to_value();
    let mut rows = String::from(HEAD);
    rows_of(&schema, &schema["$defs"], "", &mut rows);
    rows
}

/// Adds a row for each property of an object, each followed by those of what is in it.
fn rows_of(object: &Value, defs: &Value, before: &str, rows: &mut String) {
    let required = object["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in object["properties"].as_object().unwrap_or(&Map::new()) {
        let said = property["description"].as_str().unwrap_or_else(|| panic!("{before}{name} has no documentation"));
        let said = said.trim_end_matches('.').replace('\n', " ");
        let key = format!("{before}{name}");
        let (mut shape, below) = shape(property, defs);
        if !required.iter().any(|one| one == name) {
            // What is absent is never null.
            shape = format!("{}, or absent", shape.trim_end_matches(" or null"));
        }
        writeln!(rows, "| `{key}` | {shape} | {said} |").unwrap();
        if let Some((steps, below)) = below {
            rows_of(&below, defs, &format!("{key}{steps}."), rows);
        }
    }
}

/// Names the shape of a value, and gives what is in it with the steps that lead there.
fn shape(value: &Value, defs: &Value) -> (String, Option<(&'static str, Value)>) {
    let value = resolved(value, defs);
    let named = |kind: &str| match (kind, value["format"].as_str()) {
        ("string", Some("date-time")) => "date".to_owned(),
        ("string", _) => "text".to_owned(),
        ("integer", _) => "number".to_owned(),
        ("boolean", _) => "true or false".to_owned(),
        other => panic!("{other:?}: {value}"),
    };
    if let Some(several) = value["anyOf"].as_array() {
        let (shape, below) = shape(&several[0], defs);
        assert_eq!(several[1], serde_json::json!({"type": "null"}));
        return (format!("{shape} or null"), below);
    }
    match &value["type"] {
        Value::Array(kinds) => {
            let mut present = value.clone();
            present["type"] = kinds[0].clone();
            let (shape, below) = shape(&present, defs);
            (format!("{shape} or null"), below)
        }
        Value::String(kind) if kind == "array" => {
            let items = resolved(&value["items"], defs);
            if items["type"] == "object" {
                return ("list".to_owned(), Some(("[]", items)));
            }
            (format!("list of {}s", shape(&items, defs).0), None)
        }
        Value::String(kind) if kind == "object" => match value.get("properties") {
            Some(_) => ("object".to_owned(), Some(("", value))),
            None => (format!("object of {}s", shape(&value["additionalProperties"], defs).0), None),
        },
        Value::String(kind) => (named(kind), None),
        other => panic!("{other}: {value}"),
    }
}

fn resolved(value: &Value, defs: &Value) -> Value {
    match value["$ref"].as_str() {
        Some(name) => defs[name.rsplit('/').next().unwrap()].clone(),
        None => value.clone(),
    }
}

/// All reports, in the order of the page.
fn tables() -> Vec<String> {
    vec![
        table::<failure::Report>(),
        table::<Progress<'_>>(),
        table::<add::Report>(),
        table::<compose::report::Report>(),
        table::<compose::plan::Report>(),
        table::<list::Packages>(),
        table::<list::Images>(),
        table::<show::Packages>(),
        table::<show::Image>(),
        table::<show::made::Image>(),
        table::<files::Report>(),
        table::<tree::Report>(),
        table::<diff::Report>(),
        table::<needs::Report>(),
        table::<store::init::Report>(),
        table::<store::info::Report>(),
        table::<store::verify::Report>(),
        table::<store::rebuild::Report>(),
        table::<store::gc::Collected>(),
        table::<store::gc::Planned>(),
        table::<store::roots::Report>(),
        table::<store::roots::Added>(),
        table::<store::roots::Removed>(),
    ]
}

#[test]
fn every_key_of_a_report_is_on_the_page_with_its_shape_and_no_other() {
    let page = std::fs::read_to_string(workspace::own("docs/commands.md")).unwrap();
    let found: Vec<String> = page
        .match_indices(HEAD)
        .map(|(at, _)| page[at..].split_inclusive('\n').take_while(|line| line.starts_with('|')).collect())
        .collect();
    let tables = tables();
    for (at, table) in tables.iter().enumerate() {
        assert!(found.get(at) == Some(table), "table {at} of docs/commands.md should be:\n{table}");
    }
    assert_eq!(found.len(), tables.len(), "a table of no report");
}
