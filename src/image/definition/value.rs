//! Reading single values out of parsed TOML: each function takes a value and gives it in its type,
//! or says what was expected and what is there, with its place.
//!
//! Nothing is converted silently: a number where text is wanted is a mistake with a place.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{Bad, did_you_mean};
use dlstore_model::escape::Escaped;

/// A value with its place.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// Says what is there instead of what was expected.
fn unexpected(value: &Value<'_>, expected: &str) -> Bad {
    let found = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Bad::new(value.span(), format!("expected {expected}, found {found}"))
}

/// Reads a string.
pub(super) fn text<'v>(value: &'v Value<'_>) -> Result<&'v str, Bad> {
    value.get_ref().as_str().ok_or_else(|| unexpected(value, "a string"))
}

/// Reads a string by a grammar.
pub(super) fn parsed<T>(value: &Value<'_>, grammar: impl Fn(&str) -> Result<T, String>) -> Result<Spanned<T>, Bad> {
    match grammar(text(value)?) {
        Ok(read) => Ok(Spanned::new(value.span(), read)),
        Err(sentence) => Err(Bad::new(value.span(), sentence)),
    }
}

/// Reads a string that must pass a check.
pub(super) fn checked(value: &Value<'_>, check: impl Fn(&str) -> Result<(), String>) -> Result<Spanned<String>, Bad> {
    parsed(value, |text| check(text).map(|()| text.to_owned()))
}

/// Reads `true` or `false`.
pub(super) fn flag(value: &Value<'_>) -> Result<bool, Bad> {
    value.get_ref().as_bool().ok_or_else(|| unexpected(value, "`true` or `false`"))
}

/// Reads a number that a user or a group can have.
pub(super) fn id(value: &Value<'_>) -> Result<u32, Bad> {
    let integer = value.get_ref().as_integer().ok_or_else(|| unexpected(value, "an integer"))?;
    let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|id| *id != u32::MAX);
    number.ok_or_else(|| Bad::new(value.span(), "a user or group must be a number from 0 to 4294967294"))
}

/// Reads a list.
pub(super) fn list<'v, 'i>(value: &'v Value<'i>) -> Result<&'v DeArray<'i>, Bad> {
    value.get_ref().as_array().ok_or_else(|| unexpected(value, "a list"))
}

/// Reads a table.
pub(super) fn table<'v, 'i>(value: &'v Value<'i>) -> Result<&'v DeTable<'i>, Bad> {
    value.get_ref().as_table().ok_or_else(|| unexpected(value, "a table"))
}

/// Reads a list of strings by a grammar.
pub(super) fn all<T>(value: &Value<'_>, grammar: impl Fn(&str) -> Result<T, String>) -> Result<Vec<Spanned<T>>, Bad> {
    list(value)?.iter().map(|item| parsed(item, &grammar)).collect()
}

/// Reads a list of strings that must pass a check.
pub(super) fn all_checked(value: &Value<'_>, check: impl Fn(&str) -> Result<(), String>) -> Result<Vec<String>, Bad> {
    list(value)?.iter().map(|item| checked(item, &check).map(Spanned::into_inner)).collect()
}

/// Reads a table of strings; keys and values must pass their checks.
pub(super) fn map(
    value: &Value<'_>,
    key_check: impl Fn(&str) -> Result<(), String>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<BTreeMap<String, String>, Bad> {
    let mut read = BTreeMap::new();
    for (key, value) in table(value)? {
        key_check(key.get_ref()).map_err(|sentence| Bad::new(key.span(), sentence))?;
        read.insert(key.get_ref().to_string(), checked(value, &check)?.into_inner());
    }
    Ok(read)
}

/// Says that a key is not known, and which one was meant.
pub(super) fn unknown_key(key: &str, span: Range<usize>, known: &[&str]) -> Bad {
    let mut hint = did_you_mean(key, known.iter().copied());
    if hint.is_empty() && known.len() < 10 {
        hint = format!("; known keys: {}", known.join(", "));
    }
    Bad::new(span, format!("unknown key `{}`{hint}", Escaped::text(key)))
}
