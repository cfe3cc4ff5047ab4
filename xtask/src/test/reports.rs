//! Reports of the conformance suites, one file for each test program.

use std::path::PathBuf;

use super::build::Program;
use crate::result::Result;
use crate::workspace::Workspace;

/// Folder in the target folder for the reports of the suites.
const REPORTS: &str = "conformance";

/// A file beside the reports that says that none is missing.
const WHOLE: &str = "whole";

/// Folder of the reports.
pub(super) struct Reports {
    pub(super) folder: PathBuf,
}

impl Reports {
    /// Makes the folder, without the reports of earlier runs.
    pub(super) fn fresh(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target.join(REPORTS);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => std::fs::create_dir_all(&folder)?,
        }
        Ok(Self { folder })
    }

    /// Returns the reports of the last run, if none is missing.
    pub(super) fn last_whole(workspace: &Workspace) -> Option<Self> {
        let folder = workspace.target.join(REPORTS);
        folder.join(WHOLE).exists().then_some(Self { folder })
    }

    /// Notes that no report is missing.
    pub(super) fn mark_whole(&self) -> Result<()> {
        Ok(std::fs::write(self.folder.join(WHOLE), "")?)
    }

    pub(super) fn path(&self, program: &Program) -> PathBuf {
        self.folder.join(format!("{}.{}.json", program.package, program.target))
    }
}
