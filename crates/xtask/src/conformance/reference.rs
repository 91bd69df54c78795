//! A script on the reference kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::client::Interface;
use super::recording::Recording;
use super::script::Script;

/// The folder of the reference's tools: `IPVS_REFERENCE_TOOLS`, or `shared/reference` beside the checkout.
fn tools() -> Result<PathBuf> {
    let path = std::env::var_os("IPVS_REFERENCE_TOOLS")
        .map_or_else(|| crate::workspace::root().join("../shared/reference"), PathBuf::from);
    ensure!(
        path.join("run").is_file(),
        "no reference kernel at {}: set IPVS_REFERENCE_TOOLS to the folder that holds `run`",
        path.display()
    );
    Ok(path)
}

/// Longest time for a script, in seconds: the kernel is emulated.
const LIMIT: &str = "600";

/// Boots the reference kernel, runs the script there with clients that speak `interface`, and returns what it printed.
pub(crate) fn run(script: &Script, interface: Interface) -> Result<Recording> {
    // Without generic netlink, every client falls back to socket options, as on a kernel that lacks the family.
    let wrapper = match interface {
        Interface::Netlink => "",
        Interface::Sockopt => "python3 /in/without_genetlink.py",
    };
    let payload = format!(
        "export CLIENT=client; echo \"kernel $(uname -r), $(ipvsadm -v)\"; . /in/lib.sh; ip netns add $CLIENT; link; \
         exec {wrapper} bash -c '. /in/lib.sh; . /in/{}.sh'\n",
        script.name
    );
    let text = bash(&payload).with_context(|| script.name.clone())?;
    let (source, body) = text.split_once('\n').context("the reference kernel printed nothing")?;
    Ok(Recording::new(source, body))
}

/// Boots the reference kernel and runs bash text there; what it printed.
pub(crate) fn bash(text: &str) -> Result<String> {
    bash_in(&Script::folder(), text, LIMIT)
}

/// The same with the files of `folder` in /in, and at most `limit` seconds.
pub(crate) fn bash_in(folder: &Path, text: &str, limit: &str) -> Result<String> {
    let file = std::env::temp_dir().join(format!("ipvsd-conformance-{}.sh", std::process::id()));
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let output = Command::new(tools()?.join("run")).arg("-d").arg(folder).arg(&file).arg(limit).output();
    let _ = std::fs::remove_file(&file);
    let output = output.context("cannot run the reference kernel")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the reference kernel: {}\n{errors}", output.status);
    ensure!(errors.is_empty(), "on the reference kernel it wrote to its standard error:\n{errors}");
    String::from_utf8(output.stdout).context("output is not UTF-8")
}
