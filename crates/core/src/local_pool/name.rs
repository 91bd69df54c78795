//! Names of pools of local addresses, which full NAT takes its source addresses from.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Most bytes of a name.
const LONGEST: usize = 15;

/// A pool's name: 1 to 15 letters, digits, `-`, `_` and `.`, all ASCII; no `-` at the beginning, where it would make an option.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolName {
    /// The name, filled up with 0.
    bytes: [u8; LONGEST],
}

impl PoolName {
    /// The name `text`.
    ///
    /// # Errors
    /// [`Error::InvalidPoolName`] if no pool can be called so.
    pub fn new(text: &str) -> Result<Self, Error> {
        let permitted = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let mut bytes = [0; LONGEST];
        match bytes.get_mut(..text.len()) {
            Some(room) if !room.is_empty() && !text.starts_with('-') && text.bytes().all(permitted) => {
                room.copy_from_slice(text.as_bytes());
                Ok(Self { bytes })
            }
            _ => Err(Error::InvalidPoolName),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let length = self.bytes.iter().position(|&byte| byte == 0).unwrap_or(LONGEST);
        self.bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for PoolName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_1_to_15_plain_characters() {
        for name in ["a", "web-1_b.C", "fifteen-letters"] {
            assert_eq!(PoolName::new(name).map(|it| it.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "-", "-a", "sixteen-letters-", "a b", "a/b", "é", "a\0"] {
            assert_eq!(PoolName::new(name), Err(Error::InvalidPoolName), "{name:?}");
        }
    }
}
