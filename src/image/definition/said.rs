//! What the command line says of an image on top of its definition: labels, annotations, variables.
//!
//! The same rules hold as for the keys of a definition, and what is said here replaces what that says.

use std::collections::BTreeMap;

use super::{Image, syntax};

/// Labels, annotations and variables, by key; later ones replace earlier ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
}

impl Said {
    /// Reads what was typed, each `KEY=VALUE`.
    ///
    /// # Errors
    /// With a sentence that names the flag, when one has no `=` or what the key or the value of a definition may not have.
    pub fn parse(labels: &[String], annotations: &[String], env: &[String]) -> Result<Self, String> {
        Ok(Self {
            labels: map("--label", labels, syntax::label_key)?,
            annotations: map("--annotation", annotations, syntax::label_key)?,
            env: map("--env", env, syntax::env_name)?,
        })
    }

    /// Says whether anything was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty() && self.env.is_empty()
    }

    /// Puts it into an image.
    pub fn put_into(&self, image: &mut Image) {
        let owned = |map: &BTreeMap<String, String>| map.clone().into_iter();
        image.config.labels.extend(owned(&self.labels));
        image.annotations.extend(owned(&self.annotations));
        image.config.env.extend(owned(&self.env));
        image.env_of_flags.extend(self.env.keys().cloned());
    }
}

fn map(
    flag: &str,
    texts: &[String],
    key: impl Fn(&str) -> Result<(), String>,
) -> Result<BTreeMap<String, String>, String> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("{flag} needs KEY=VALUE, not {text:?}"))?;
        key(name).and_then(|()| syntax::plain_text(value)).map_err(|why| format!("{flag} {text:?}: {why}"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_key_and_a_value_by_the_rules_of_definitions() {
        let said = |labels: &[&str], env: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            Said::parse(&owned(labels), &[], &owned(env))
        };
        let two = said(&["a=1", "b==", "a=2"], &["X="]).unwrap();
        let pairs = |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>();
        assert_eq!((pairs(&two.labels), pairs(&two.env)), (vec!["a:2".into(), "b:=".into()], vec!["X:".into()]));
        assert!(!two.is_empty() && said(&[], &[]).unwrap().is_empty());
        for (labels, env, why) in [
            (&["a"][..], &[][..], "--label needs KEY=VALUE, not \"a\""),
            (&["=a"], &[], "--label \"=a\": "),
            (&["a=b\0"], &[], "--label \"a=b\\0\": "),
            (&[], &["=c"], "--env \"=c\": "),
        ] {
            let error = said(labels, env).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
