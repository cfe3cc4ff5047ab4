//! Packages of Debian, which this program may install as root.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::progress::{self, silent};
use crate::result::Result;

/// Whether this is root on Debian or Ubuntu.
pub(crate) fn may_install() -> bool {
    let root = silent(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let debian = system.lines().filter_map(|line| line.split_once('=')).any(|(key, value)| {
        matches!(key, "ID" | "ID_LIKE")
            && value.trim_matches('"').split(' ').any(|id| matches!(id, "debian" | "ubuntu"))
    });
    root && debian && installed("apt-get")
}

/// Whether `program` is in the path, or in one of the folders for root's programs.
pub(crate) fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    found || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(program).is_file())
}

/// Installs `package` if none of `programs` is there and this program may. `advice` is the error, which says what is needed.
pub(crate) fn need(programs: &[&str], package: &str, advice: &str) -> Result<(), String> {
    if programs.iter().any(|program| installed(program)) {
        return Ok(());
    }
    if !may_install() {
        return Err(advice.to_owned());
    }
    update().and_then(|()| install(&[package])).map_err(|error| format!("{advice}: {error}"))
}

/// Updates the lists of packages.
pub(crate) fn update() -> Result<()> {
    progress::long("apt-get update", apt().arg("update"))
}

/// Whether the lists of packages have `package`.
pub(crate) fn has_package(package: &str) -> bool {
    silent(Command::new("apt-cache").args(["show", package])).is_ok()
}

/// Installs `packages`.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let install = format!("apt-get install {}", packages.join(" "));
    progress::long(&install, apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=120"]);
    command
}
