//! Settings as the files of /proc/sys/net/ipv4/vs write and read them.

use ipvs_core::Sysctl;

use crate::errno::Errno;

/// What a setting's file reads as: values separated by tabs, and a newline.
pub fn format(sysctl: Sysctl, values: &[i64]) -> String {
    let texts: Vec<String> = values.iter().map(|value| number(sysctl, *value)).collect();
    texts.join("\t") + "\n"
}

fn number(sysctl: Sysctl, value: i64) -> String {
    if sysctl.is_unsigned_long() { value.cast_unsigned().to_string() } else { value.to_string() }
}

/// What a write to a setting's file means: as many values as it holds, or fewer.
///
/// # Errors
/// EINVAL for what is no such number.
pub fn parse(sysctl: Sysctl, text: &[u8]) -> Result<Vec<i64>, Errno> {
    let text = core::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
    let words = text.split_ascii_whitespace().take(sysctl.width());
    words.map(|word| word.parse::<i64>().map_err(|_| Errno::EINVAL)).collect()
}
