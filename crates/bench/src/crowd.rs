//! Which rows of a path share a director: what a table holds shows in other rows, for the hash lines and entries of few flows lie
//! spread among those of a million.

use crate::choice::MANY;
use crate::path::Path;
use crate::row::Measure;

/// How many connections a director is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Crowd {
    /// No more than those of the row with most, up to [`MANY`].
    Usual,
    /// More, or ever more.
    Large,
}

impl Crowd {
    /// For a row.
    pub(crate) fn of(measure: Measure, path: Path) -> Self {
        let large = match measure {
            Measure::Packets(flows) => flows > MANY,
            Measure::Syns => true,
            _ => false,
        };
        // The others keep nothing.
        if large && !matches!(path, Path::Noop | Path::Forwarding) { Self::Large } else { Self::Usual }
    }

    /// Tells the names of its director's things apart.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Usual => "",
            Self::Large => "-large",
        }
    }

    /// Behind the title of the path.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Usual => "",
            Self::Large => ", for a million connections",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_flows_do_not_share_a_table_with_many() {
        let of = |flows| Crowd::of(Measure::Packets(flows), Path::Xdp);
        assert_eq!([1, MANY, MANY + 1].map(of), [Crowd::Usual, Crowd::Usual, Crowd::Large]);
        assert_eq!(Crowd::of(Measure::Syns, Path::Nft), Crowd::Large);
        assert_eq!(Crowd::of(Measure::Syns, Path::Forwarding), Crowd::Usual);
        assert_eq!(Crowd::of(Measure::Bulk, Path::Xdp), Crowd::Usual);
    }
}
