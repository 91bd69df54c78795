//! What the kernel's own IPVS does, measured elsewhere: hardly a machine has both a kernel with IPVS and the means to compare
//! within one run.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Rates of the kernel's IPVS (masquerading, packets of 64 bytes), each as a share of what plain forwarding does in the same kernel on the same
/// links; and the memory that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KernelIpvs {
    /// Packets of 1000 established flows.
    pub established: f64,
    /// Packets that each begin a flow, scheduler rr.
    pub new_rr: f64,
    /// The same, wlc with 100 servers.
    pub new_wlc100: f64,
    /// Memory of a connection.
    pub bytes_per_connection: f64,
}

impl KernelIpvs {
    /// Debian's kernel 6.1 under User Mode Linux on one processor: pktgen over veth, forwarding and IPVS in turn, the best of
    /// several; memory without that of connection tracking.
    pub const REFERENCE: Self =
        Self { established: 0.74, new_rr: 0.48, new_wlc100: 0.37, bytes_per_connection: 320.0 };
}

impl fmt::Display for KernelIpvs {
    /// As it is parsed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { established, new_rr, new_wlc100, bytes_per_connection } = self;
        write!(formatter, "{established},{new_rr},{new_wlc100},{bytes_per_connection}")
    }
}

impl FromStr for KernelIpvs {
    type Err = String;

    /// Three shares, and if wanted the bytes of a connection, with commas between.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |word: &str| match word.trim().parse::<f64>() {
            Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
            _ => Err(format!("`{word}` is no number above 0")),
        };
        let numbers = text.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
        let (shares, bytes) = match *numbers.as_slice() {
            [established, rr, wlc] => ([established, rr, wlc], Self::REFERENCE.bytes_per_connection),
            [established, rr, wlc, bytes] => ([established, rr, wlc], bytes),
            _ => {
                return Err(format!(
                    "{} numbers: three shares of plain forwarding (established flows, new ones under rr, new ones \
                     under wlc with 100 servers), then if wanted bytes of a connection; as in {}",
                    numbers.len(),
                    Self::REFERENCE
                ));
            }
        };
        if let Some(share) = shares.iter().find(|share| **share > 1.5) {
            return Err(format!("{share} is no share of plain forwarding: 0.74 for 74 %"));
        }
        let [established, new_rr, new_wlc100] = shares;
        Ok(Self { established, new_rr, new_wlc100, bytes_per_connection: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_shares_are_enough() {
        let shares: KernelIpvs = "0.7, 0.5,0.4".parse().unwrap();
        assert_eq!(
            shares,
            KernelIpvs { established: 0.7, new_rr: 0.5, new_wlc100: 0.4, ..KernelIpvs::REFERENCE }
        );
        assert_eq!("0.7,0.5,0.4,288".parse::<KernelIpvs>().unwrap().bytes_per_connection, 288.0);
        assert_eq!(KernelIpvs::REFERENCE.to_string().parse(), Ok(KernelIpvs::REFERENCE));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("0.7,x,0.4", "`x`"),
            ("0.7,0,0.4", "`0`"),
            ("0.7,0.5", "2 numbers"),
            ("74,0.48,0.37", "74 is no share"),
            ("", "``"),
        ] {
            let error = text.parse::<KernelIpvs>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
