//! The scripts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::client::{Client, Interface};

/// One script: `conformance/control/NAME.sh`.
pub(crate) struct Script {
    /// Its name, without folder and ending.
    pub(crate) name: String,
}

impl Script {
    /// The folder of the scripts and their library.
    pub(crate) fn folder() -> PathBuf {
        crate::workspace::root().join("conformance/control")
    }

    /// The recording's file.
    pub(crate) fn recording(&self, interface: Interface) -> PathBuf {
        let folder = crate::workspace::root().join("conformance/recordings").join(interface.folder());
        folder.join(format!("{}.txt", self.name))
    }

    /// Whether it is for this client: all scripts but those with a line `# unmodified clients only`.
    pub(crate) fn is_for(&self, client: Client) -> Result<bool> {
        let path = Self::folder().join(format!("{}.sh", self.name));
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(client.is_debian() || !text.lines().any(|line| line == "# unmodified clients only"))
    }

    /// The scripts of these names, or all in order of name.
    pub(crate) fn find(names: &[String]) -> Result<Vec<Self>> {
        let folder = Self::folder();
        if !names.is_empty() {
            for name in names {
                ensure!(
                    folder.join(format!("{name}.sh")).is_file(),
                    "no script {name} in {}",
                    folder.display()
                );
            }
            return Ok(names.iter().map(|name| Self { name: name.clone() }).collect());
        }
        let mut found: Vec<Self> = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .filter_map(|entry| name_of(&entry.ok()?.path()))
            .map(|name| Self { name })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        ensure!(!found.is_empty(), "no scripts in {}", folder.display());
        Ok(found)
    }
}

/// A script's name from its path; `None` for the library and other files.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    (path.extension()? == "sh" && name != "lib").then(|| name.to_owned())
}
