//! All figures, and the file that keeps them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::growth::Growth;
use crate::idle_memory::Idle;
use crate::purge::Beside;
use crate::requests::Requests;

/// Figures of one or several runs. New figures replace old ones.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    pub growth: Vec<Growth>,
    pub purge: Vec<Beside>,
    pub idle: Vec<Idle>,
    pub requests: Vec<Requests>,
}

impl Results {
    /// Reads the results in `folder`; they are empty if there is no file yet.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = file(folder);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            text => serde_json::from_slice(&text.with_context(|| format!("{} cannot be read", path.display()))?)
                .with_context(|| format!("{} is not of this program", path.display())),
        }
    }

    /// Writes the results to `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = file(folder);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    pub fn add_growth(&mut self, new: Growth) {
        put(&mut self.growth, new, |growth| (growth.store, growth.sessions));
    }

    pub fn add_purge(&mut self, new: Beside) {
        put(&mut self.purge, new, |beside| beside.store);
    }

    pub fn add_idle(&mut self, new: Idle) {
        put(&mut self.idle, new, |idle| (idle.population.size, idle.population.of_one, idle.loaded));
    }

    pub fn add_requests(&mut self, new: Requests) {
        put(&mut self.requests, new, |requests| (requests.store, requests.requests, requests.queue));
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("scale.json")
}

/// Adds `new` in the order of `key`, and replaces the value with the same key.
fn put<T, K: Ord>(all: &mut Vec<T>, new: T, key: impl Fn(&T) -> K) {
    all.retain(|old| key(old) != key(&new));
    all.push(new);
    all.sort_by_key(key);
}
