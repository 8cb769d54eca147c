//! What a container starts with.
//!
//! A definition and a built image say it in the same words, in the same order, so that one can be held against the other.

use std::collections::BTreeMap;

use serde::Serialize;

use dlstore_model::config::Config;

/// What a container starts with.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Start {
    /// The user that it runs as; `null` for root.
    pub(crate) user: Option<String>,
    /// The program that it starts, with its first arguments.
    pub(crate) entrypoint: Vec<String>,
    /// The default arguments, or the program where there is no entrypoint.
    pub(crate) cmd: Vec<String>,
    /// The directory that it starts in; `null` for the root.
    pub(crate) workdir: Option<String>,
    /// The signal that ends it; `null` where nobody says one.
    pub(crate) stop_signal: Option<String>,
    /// Ports, each with its protocol.
    pub(crate) ports: Vec<String>,
    /// Paths of volumes.
    pub(crate) volumes: Vec<String>,
    /// Environment variables by name.
    pub(crate) env: BTreeMap<String, String>,
    /// Labels by key.
    pub(crate) labels: BTreeMap<String, String>,
}

impl From<Config> for Start {
    fn from(config: Config) -> Self {
        let Config { env, user, workdir, entrypoint, cmd, stop_signal, labels, exposed_ports, volumes } = config;
        Self { user, entrypoint, cmd, workdir, stop_signal, ports: exposed_ports, volumes, env, labels }
    }
}
