//! The default of the setting sync_qlen_max, which the host's memory decides.

/// A 32nd of the pages that may hold buffers, as the kernel sets it (15308 on the reference kernel, whose zones had 3840
/// and 502916 managed pages and high watermarks of 127 and 16766); `None` if /proc/zoneinfo does not say.
pub(super) fn sync_qlen_max() -> Option<u64> {
    buffer_pages(&std::fs::read_to_string("/proc/zoneinfo").ok()?).map(|pages| pages / 32)
}

/// Pages above the high watermark, over the zones that the kernel takes buffers from.
fn buffer_pages(zoneinfo: &str) -> Option<u64> {
    let (mut pages, mut counts, mut high) = (None, false, None);
    for line in zoneinfo.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Node"), _) => {
                let zone = words.nth(1);
                (counts, high) = (matches!(zone, Some("DMA" | "DMA32" | "Normal")), None);
            }
            (Some("high"), Some(number)) if high.is_none() => high = number.parse::<u64>().ok(),
            (Some("managed"), Some(number)) if counts => {
                let free = number.parse::<u64>().ok()?.saturating_sub(high?);
                pages = Some(pages.unwrap_or(0) + free);
            }
            _ => {}
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_kernels_zones() {
        let zones = "\
Node 0, zone      DMA
  pages free     3840
        boost    0
        min      84
        low      105
        high     127
        spanned  4095
        present  3998
        managed  3840
  pagesets
    cpu: 0
              high:  0
Node 0, zone    DMA32
        high     16766
        managed  502916
Node 0, zone   Normal
        high     0
        managed  0
Node 0, zone  Movable
        high     32
        managed  99999
";
        assert_eq!(buffer_pages(zones).map(|pages| pages / 32), Some(15_308));
        assert_eq!(buffer_pages(""), None);
        assert_eq!(buffer_pages("Node 0, zone DMA\n managed x\n"), None);
    }

    #[test]
    fn this_host_says() {
        assert!(sync_qlen_max().is_some_and(|pages| pages > 0));
    }
}
