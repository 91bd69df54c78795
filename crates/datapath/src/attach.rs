//! Where the program is attached: at the driver or the stack's entry by XDP, or behind it as a classifier (tc).

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::{fmt, fs};

use crate::netlink::Link;

/// Where the program is attached to an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// By XDP: fastest for small packets.
    #[default]
    Xdp,
    /// As a classifier (tc), on packets of the host's stack: those that are yet to be cut into segments stay whole.
    Tc,
    /// As a classifier at interfaces of virtual machines and namespaces (veth, TUN/TAP and virtio), whose other ends send packets
    /// that are yet to be cut; by XDP at all others.
    Auto,
}

/// How the program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By XDP in the driver.
    Native,
    /// By XDP in the host's stack.
    Generic,
    /// As a classifier.
    Tc,
}

/// Where the program is attached, by interface: `xdp`, `tc` or `auto`, then `,NAME=WHERE` for those that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachRule {
    /// Interfaces that are not named.
    pub others: Attach,
    /// Interfaces by name.
    pub named: BTreeMap<String, Attach>,
}

impl From<Attach> for AttachRule {
    fn from(others: Attach) -> Self {
        Self { others, named: BTreeMap::new() }
    }
}

impl AttachRule {
    /// Whether the interface of that name gets a classifier.
    pub(crate) fn is_tc(&self, name: &str, link: Option<&Link>) -> bool {
        match self.named.get(name).unwrap_or(&self.others) {
            Attach::Xdp => false,
            Attach::Tc => true,
            Attach::Auto => link.is_some_and(|link| link.is_cable) || is_virtio(name),
        }
    }
}

/// Whether the driver is virtio's; `false` if sysfs shows another network namespace's interfaces.
fn is_virtio(name: &str) -> bool {
    let driver = Path::new("/sys/class/net").join(name).join("device/driver");
    fs::read_link(driver).is_ok_and(|driver| driver.ends_with("virtio_net"))
}

/// What is wrong with the text of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachRuleError {
    /// It is none.
    #[error(
        "`{0}`: say xdp, tc or auto, for some interfaces NAME=xdp and so on, with commas between: auto,eth0=xdp"
    )]
    Unknown(String),
    /// Two parts of it differ.
    #[error("{} is to be attached by {} and by {}: say one of them", name.as_deref().unwrap_or("what has no rule of its own"), .ways[0], .ways[1])]
    Contradiction {
        /// The interface; `None`: those that are not named.
        name: Option<String>,
        /// What was said of it.
        ways: [Attach; 2],
    },
}

impl FromStr for AttachRule {
    type Err = AttachRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut others, mut named) = (None, BTreeMap::new());
        for part in text.split(',') {
            let wrong = || AttachRuleError::Unknown(part.to_owned());
            let (name, word) = match part.split_once('=') {
                Some((name, word)) => (Some(name), word),
                None => (None, part),
            };
            let attach = match word {
                "xdp" => Attach::Xdp,
                "tc" => Attach::Tc,
                "auto" => Attach::Auto,
                _ => return Err(wrong()),
            };
            let former = match name {
                Some("") => return Err(wrong()),
                Some(name) => named.insert(name.to_owned(), attach),
                None => others.replace(attach),
            };
            if let Some(former) = former.filter(|former| *former != attach) {
                let (name, ways) = (name.map(str::to_owned), [former, attach]);
                return Err(AttachRuleError::Contradiction { name, ways });
            }
        }
        Ok(Self { others: others.unwrap_or_default(), named })
    }
}

impl fmt::Display for Attach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::Auto => "auto",
        })
    }
}

impl fmt::Display for AttachRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.others.fmt(formatter)?;
        self.named.iter().try_for_each(|(name, attach)| write!(formatter, ",{name}={attach}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        for text in ["xdp", "tc", "auto", "auto,eth0=xdp,eth1.7=tc"] {
            assert_eq!(text.parse::<AttachRule>().map(|rule| rule.to_string()), Ok(text.into()));
        }
        // What is not said is the default.
        assert_eq!("veth0=tc".parse::<AttachRule>().unwrap().others, Attach::Xdp);
        // In any order, and twice.
        for text in ["eth0=xdp,eth1=tc,auto", "eth0=xdp,auto,eth1=tc,eth0=xdp,auto"] {
            let rule = text.parse::<AttachRule>().map(|rule| rule.to_string());
            assert_eq!(rule, Ok("auto,eth0=xdp,eth1=tc".into()));
        }
        for text in ["", "tcp", "tc,", "eth0", "=tc", "eth0=", "eth0=native"] {
            assert!(matches!(text.parse::<AttachRule>(), Err(AttachRuleError::Unknown(_))), "{text}");
        }
    }

    #[test]
    fn contradictions_are_named() {
        let message = |text: &str| text.parse::<AttachRule>().unwrap_err().to_string();
        assert_eq!(
            message("auto,eth0=xdp,eth0=tc"),
            "eth0 is to be attached by xdp and by tc: say one of them"
        );
        assert_eq!(
            message("tc,xdp"),
            "what has no rule of its own is to be attached by tc and by xdp: say one of them"
        );
    }
}
