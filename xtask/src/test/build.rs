//! Builds all test programs.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Stdio;

use cargo_metadata::{Message, Metadata, Package, PackageId, Target, TargetKind};

use crate::result::Result;
use crate::workspace::Workspace;

/// A test program, built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Program {
    pub(super) package: String,
    pub(super) target: String,
    pub(super) kind: Kind,
    /// Folder of the package, in which its tests run.
    pub(super) folder: PathBuf,
    pub(super) version: String,
    pub(super) executable: PathBuf,
}

#[cfg(test)]
impl Program {
    /// Returns a program that was not built.
    pub(super) fn named(package: &str, target: &str, kind: Kind) -> Self {
        Self {
            package: package.into(),
            target: target.into(),
            kind,
            folder: PathBuf::new(),
            version: String::new(),
            executable: PathBuf::new(),
        }
    }
}

/// Source of a test program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Tests inside a library or a program. There may be none.
    Unit,
    /// A file in `tests/`, which must contain a test.
    Integration,
}

impl Program {
    /// Whether the program has tests only if built with `--cfg shuttle`.
    pub(super) fn needs_shuttle(&self) -> bool {
        (&*self.package, &*self.target) == ("session-conformance", "threads")
    }

    /// Returns the name of the program for people.
    pub(super) fn name(&self) -> String {
        match self.kind {
            Kind::Unit => format!("{} (unit)", self.package),
            Kind::Integration => format!("{}::{}", self.package, self.target),
        }
    }
}

/// Result of the build.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) programs: Vec<Program>,
    /// Whether everything compiled. Cargo shows what did not.
    pub(super) well: bool,
}

/// Builds all tests and examples of the workspace, and continues if a target does not compile.
pub(super) fn build(workspace: &Workspace) -> Result<Built> {
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(&workspace.root).no_deps().exec()?;
    let mut child = workspace
        .cargo()
        .args(["build", "--workspace", "--all-features", "--tests", "--examples", "--keep-going"])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let messages = child.stdout.take().ok_or("cargo has no output")?;
    let packages: BTreeMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let mut built = Built::default();
    for message in Message::parse_stream(BufReader::new(messages)) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        if artifact.profile.test
            && let Some(executable) = artifact.executable
            && let Some(package) = packages.get(&artifact.package_id)
        {
            built.programs.push(program(package, &artifact.target, executable.into()));
        }
    }
    built.well = child.wait()?.success();
    let positions = positions(&metadata);
    built
        .programs
        .sort_by_key(|program| (positions.get(&program.package).copied(), program.kind, program.target.clone()));
    Ok(built)
}

fn program(package: &Package, target: &Target, executable: PathBuf) -> Program {
    let integration = target.kind.contains(&TargetKind::Test);
    Program {
        package: package.name.to_string(),
        target: target.name.clone(),
        kind: if integration { Kind::Integration } else { Kind::Unit },
        folder: package.manifest_path.parent().map(PathBuf::from).unwrap_or_default(),
        version: package.version.to_string(),
        executable,
    }
}

/// Returns the position of each member in the workspace's list, which goes from the core outwards.
fn positions(metadata: &Metadata) -> BTreeMap<String, usize> {
    let members = metadata.workspace_packages();
    members.iter().enumerate().map(|(position, package)| (package.name.to_string(), position)).collect()
}
