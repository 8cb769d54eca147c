//! What a runtime is told of an image: environment, user, program, ports, volumes.
//!
//! It stands here because three floors speak of it and none of them owns it: a definition writes it, composing
//! looks at what would be started and makes numbers of the user, and the OCI documents carry it. Types are taken
//! apart by name in what goes into keys: a new field that decides bytes does not compile until somebody says
//! where it goes. The page is `store-schema/KEYS.md`.

use std::collections::BTreeMap;

use crate::digest::KeyBuilder;

/// The variable that says where loaders look for libraries first (`ld.so(8)`).
pub const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// The runtime configuration of the image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// As written: `nonroot`, `root`, `1000:1000`. `compose` makes numbers of it by the image's accounts.
    pub user: Option<String>,
    /// Absolute path.
    pub workdir: Option<String>,
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments.
    pub cmd: Vec<String>,
    /// `SIGTERM`, `SIGRTMIN+3` or a number.
    pub stop_signal: Option<String>,
    /// Labels of the configuration.
    pub labels: BTreeMap<String, String>,
    /// `8080/tcp`, always with the protocol, each once.
    pub exposed_ports: Vec<String>,
    /// Absolute paths, each once.
    pub volumes: Vec<String>,
}

impl Config {
    /// Adds the whole runtime configuration.
    pub fn add_to_key(&self, key: &mut KeyBuilder) {
        let Self { env, user, workdir, entrypoint, cmd, stop_signal, labels, exposed_ports, volumes } = self;
        key.pairs(env);
        for text in [user, workdir, stop_signal] {
            key.option(text.as_deref(), |key, text| {
                key.text(text);
            });
        }
        for list in [entrypoint, cmd, exposed_ports, volumes] {
            key.list(list, |key, text| {
                key.text(text);
            });
        }
        key.pairs(labels);
    }

    /// Adds what decides whether a rootfs can be run as the definition says.
    pub fn add_start_to_key(&self, key: &mut KeyBuilder) {
        let Self { env, user, workdir, entrypoint, cmd, stop_signal: _, labels: _, exposed_ports: _, volumes } = self;
        let searched = [env.get("PATH"), env.get(LIBRARY_PATH)];
        let started = [user.as_ref(), workdir.as_ref(), entrypoint.first(), cmd.first()];
        for text in searched.into_iter().chain(started) {
            key.option(text.map(String::as_str), |key, text| {
                key.text(text);
            });
        }
        key.list(volumes, |key, text| {
            key.text(text);
        });
    }
}
